//! Where a command is carried out: everything the program does besides serving. The work is done by
//! modules below, such as `deployment`; here it gets a terminal, the time and an exit status.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use signal_hook::consts::SIGXFSZ;
use signal_hook::flag;

use crate::clock::Clock;
use crate::config::{self, Command, Doctor, OfServer, ProxyConfig, Refused, User};
use crate::deployment::doctor::{self, NotExamined, Question, Verdict};
use crate::deployment::proxy_config::{self, output};
use crate::log::complain;
use crate::operator::Asked;
use crate::owner;
use crate::terminal::{self, Echo};

mod backup;
mod check;
mod events;
mod import;
mod invite;
mod opened;
mod person;
mod progress;
mod said;
#[cfg(feature = "postgres")]
mod store;
mod user;

/// Carries out a command. The exit code is 0 if all is well, 2 if the call is wrong or names a file
/// that cannot be read, and 1 otherwise.
pub fn carry_out(command: &Command, server: &OfServer) -> ExitCode {
    owner::begin_command();
    // A file has grown to its limit: the write fails, and what wrote says so. If the system does not
    // let us listen, the signal ends the command, as it would any other program.
    let _ = flag::register(SIGXFSZ, Arc::default());
    let done = match command {
        #[cfg(feature = "postgres")]
        Command::Store(asked) => store::carry_out(asked, server),
        // A build without it has refused that already.
        #[cfg(not(feature = "postgres"))]
        Command::Store(_) => Ok(()),
        Command::ProxyConfig(asked) => print_configuration(asked),
        Command::Doctor(asked) => call_doctor(asked),
        Command::User(User::List(asked)) => user::list(asked, server),
        Command::User(User::Add(asked)) => user::add(asked, server),
        Command::User(User::Show(asked)) => person::show(asked, server),
        Command::User(User::Set(asked)) => person::set(asked, server),
        Command::User(User::Disable(asked)) => {
            person::act("disable", Asked::Disable, asked, server)
        }
        Command::User(User::Enable(asked)) => person::act("enable", Asked::Enable, asked, server),
        Command::User(User::ResetSecondFactor(asked)) => {
            let words = "reset the second factor of";
            person::act(words, Asked::ResetSecondFactor, asked, server)
        }
        Command::User(User::NewPassword(asked)) => {
            person::act("mail a new password to", Asked::NewPassword, asked, server)
        }
        Command::User(User::EndSessions(asked)) => {
            person::act("end the sessions of", Asked::EndSessions, asked, server)
        }
        Command::User(User::Remove(asked)) => person::remove(asked, server),
        Command::Invite(asked) => invite::invite(asked, server),
        Command::Events(asked) => events::show(asked, server),
        Command::Import(asked) => import::import(asked, server),
        // That one comes with its flags judged.
        Command::Check(_) => Ok(()),
        Command::Backup(asked) => backup::backup(asked, server),
        Command::Restore(asked) => backup::restore(asked, server),
        Command::Completions(asked) => {
            print(&asked.shell.completions());
            Ok(())
        }
        Command::Man => {
            print(&config::man_page());
            Ok(())
        }
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

pub use check::check;

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

impl From<Refused> for Failure {
    fn from(why: Refused) -> Self {
        match why {
            Refused::Wrong { what, hint } => Self::Misused { what, hint },
            // Nobody asks for help here any more.
            Refused::Asked(_) => Self::Reported,
        }
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

/// If nobody reads it, the exit status counts.
fn print(text: &str) {
    let _ = io::stdout().lock().write_all(text.as_bytes());
}

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
        token: asked.token_file.as_deref(),
        users: &asked.users,
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
    for line in patient.public() {
        let _ = writeln!(out, "{line}");
    }
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
