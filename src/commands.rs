//! Where a command is carried out: everything the program does besides serving. The work is done by
//! modules below, such as `deployment`; here it gets a terminal, the time and an exit status.

mod import;

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::clock::Clock;
use crate::config::{self, Add, Command, Doctor, Files, List, ProxyConfig, User};
use crate::deployment::doctor::{self, NotExamined, Question, Verdict};
use crate::deployment::proxy_config::{self, output};
use crate::log::complain;
use crate::operator::{self, NewAccount, Refused};
use crate::terminal::{self, Echo, NotALine};

/// Carries out a command. The exit code is 0 if all is well, 2 if the call is wrong or names a file
/// that cannot be read, and 1 otherwise.
pub fn carry_out(command: &Command, files: &Files) -> ExitCode {
    let done = match command {
        Command::ProxyConfig(asked) => print_configuration(asked),
        Command::Doctor(asked) => call_doctor(asked),
        Command::User(User::List(asked)) => list(asked, files),
        Command::User(User::Add(asked)) => add(asked, files),
        Command::Import(asked) => import::import(asked, files),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Reported) => ExitCode::FAILURE,
        Err(Failure::Failed { what, hint }) => {
            complain(&what, hint.as_deref());
            ExitCode::FAILURE
        }
        Err(Failure::Misused { what, hint }) => {
            complain(&what, Some(&hint));
            ExitCode::from(2)
        }
    }
}

/// Why all is not well.
enum Failure {
    /// The call was right, but the work could not be done.
    Failed { what: String, hint: Option<String> },
    /// The call was wrong.
    Misused { what: String, hint: String },
    /// The command itself has said what is wrong.
    Reported,
}

impl Failure {
    fn misused(what: String, hint: impl Into<String>) -> Self {
        let hint = hint.into();
        Self::Misused { what, hint }
    }
}

impl From<NotExamined> for Failure {
    fn from(why: NotExamined) -> Self {
        let NotExamined { what, hint, .. } = why;
        if why.is_wrong_call {
            Self::Misused { what, hint }
        } else {
            let hint = Some(hint);
            Self::Failed { what, hint }
        }
    }
}

impl Failure {
    /// A refusal in words, and with `json` as a document on standard output too.
    fn refused(code: &str, message: &str, what: String, hint: Option<&str>, json: bool) -> Self {
        if json {
            print_json(&json!({ "code": code, "message": message }));
        }
        let hint = hint.map(str::to_owned);
        Self::Failed { what, hint }
    }

    /// `act` is what cannot be done, as in "add alice".
    fn of(why: &Refused, act: &str, json: bool) -> Self {
        let (code, message) = why.said();
        let what = match why {
            Refused::NoFile(error) | Refused::Unfit(error) => error.to_string(),
            Refused::NotSaved(error) => error.to_string(),
            Refused::Taken(_) | Refused::Password(_) => format!("cannot {act}: {message}"),
        };
        Self::refused(code, &message, what, why.hint(), json)
    }
}

/// Prints a document on one line. If nobody reads it, the exit status counts.
fn print_json(document: &Value) {
    let text = terminal::printable_json(&document.to_string());
    let _ = writeln!(io::stdout().lock(), "{text}");
}

fn list(asked: &List, files: &Files) -> Result<(), Failure> {
    let accounts = operator::accounts(&files.users)
        .map_err(|why| Failure::of(&why, "list the accounts", asked.json))?;
    let people = accounts.listed(asked.group.as_deref());
    if asked.json {
        let total = people.len();
        print_json(&json!({ "people": people, "total": total, "invitations": [] }));
        return Ok(());
    }
    let mut text = String::new();
    for person in &people {
        let fields = person.fields().map(|field| terminal::printable(&field));
        text.push_str(&fields.join("\t"));
        text.push('\n');
    }
    // If nobody reads it, nothing is lost.
    let _ = io::stdout().lock().write_all(text.as_bytes());
    Ok(())
}

fn add(asked: &Add, files: &Files) -> Result<(), Failure> {
    let act = format!("add {}", asked.username);
    let password = new_password(asked, &act)?;
    let groups = &asked.groups.0;
    let new = NewAccount {
        username: &asked.username,
        email: &asked.email,
        groups,
        password: &password,
    };
    let done =
        operator::add(&files.users, &new).map_err(|why| Failure::of(&why, &act, asked.json))?;
    if let Some(made) = done.made {
        complain(&format!("made {}", made.display()), None);
    }
    let message = "Account added.";
    if asked.json {
        print_json(&json!({
            "code": "account_added",
            "message": message,
            "username": asked.username,
            "email": asked.email,
            "groups": groups,
        }));
    } else {
        let _ = writeln!(io::stdout().lock(), "{message}");
    }
    Ok(())
}

/// The password for a new account: what was sent, or typed twice.
fn new_password(asked: &Add, act: &str) -> Result<Zeroizing<String>, Failure> {
    let refused = |message: &str, hint| {
        let what = format!("cannot {act}: {message}");
        Failure::refused("bad_field", message, what, Some(hint), asked.json)
    };
    if asked.password_stdin {
        let read = terminal::only_line();
        let line = read
            .map_err(|error| refused(&format!("Standard input cannot be read: {error}."), SENT))?;
        return line.map_err(|why| {
            let message = match why {
                NotALine::Nothing => "Standard input holds no password.",
                NotALine::More => "Standard input holds more than one line.",
                NotALine::Long => "The field password is too long: it may have 256 characters.",
                NotALine::NotText => "The password is not UTF-8.",
            };
            refused(message, SENT)
        });
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::misused(
            "a password is missing, and there is no terminal to ask for it".to_owned(),
            format!("add --password-stdin and {SENT}"),
        ));
    }
    let ask = |question| {
        let typed = terminal::ask(question, Echo::Hidden).map(Zeroizing::new);
        typed.map_err(|error| {
            let message = format!("The terminal cannot be read: {error}.");
            refused(&message, "add --password-stdin")
        })
    };
    let password = ask("Password:")?;
    if ask("Once more:")? != password {
        let message = "The passwords differ.";
        return Err(refused(message, "nothing was changed: try again"));
    }
    Ok(password)
}

/// How a password is sent.
const SENT: &str = "send the password alone, as the first line of standard input";

fn print_configuration(asked: &ProxyConfig) -> Result<(), Failure> {
    let misused = |why| Failure::misused(why, asked.example());
    let wanted = asked.wanted(proxy_config::has_ipv6()).map_err(misused)?;
    let files = proxy_config::files(asked.proxy, &wanted).map_err(misused)?;
    let done = match &asked.dir {
        Some(dir) => output::write(dir, &files, &wanted.applications),
        None => output::print(&files),
    };
    done.map_err(|what| Failure::Failed { what, hint: None })
}

fn call_doctor(asked: &Doctor) -> Result<(), Failure> {
    let misused = |why| Failure::misused(why, config::DOCTOR_EXAMPLE);
    let mut patient = asked.patient().map_err(misused)?;
    patient.read(&doctor::Files {
        ca: asked.ca.as_deref(),
        cookie: asked.cookie_file.as_deref(),
        old_cookie: asked.old_cookie_file.as_deref(),
    })?;
    let now = || Clock::start().now().wall;
    let mut asked_here = ask;
    let ask: Option<doctor::Ask<'_>> = if io::stdin().is_terminal() {
        Some(&mut asked_here)
    } else {
        None
    };
    let findings = doctor::examine(&patient, ask, now)?;
    let mut out = io::stdout().lock();
    for finding in &findings {
        // Even if nobody can read the report, the exit status counts.
        let _ = writeln!(out, "{finding}");
    }
    if findings.iter().any(|found| found.verdict == Verdict::Fail) {
        return Err(Failure::Reported);
    }
    Ok(())
}

/// Asks at the terminal for what the doctor logs in with.
fn ask(question: Question) -> io::Result<String> {
    match question {
        Question::Name => terminal::ask("Name:", Echo::Shown),
        Question::Password => terminal::ask("Password:", Echo::Hidden),
        Question::Code => terminal::ask("Code:", Echo::Shown),
    }
}
