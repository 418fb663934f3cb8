//! What the original script does, for `--compat`: its steps, its texts, its order of checks.
//!
//! Hashing, limits, headers and the file on disk are the same as without that flag.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use data_encoding::BASE32;

use crate::accounts::login::{SecondStep, Tried};
use crate::accounts::password::Password;
use crate::accounts::person::Person;
use crate::accounts::token::{self, Digest};
use crate::accounts::{Account, names};
use crate::clock::Moment;
use crate::events::Kind;
use crate::handlers::entry::Entry;
use crate::handlers::forms::{Credentials, ForgotForm, ScriptCodeForm, Typed};
use crate::handlers::login::{check_password, note_password};
use crate::handlers::tries::{Code, Judged, too_often};
use crate::handlers::{Answer, App, hash};
use crate::http::Request;
use crate::log::Lines;
use crate::network::Network;
use crate::pages;
use crate::pages::forgot::Forgot;
use crate::pages::login::Login;
use crate::pages::message::Way;
use crate::reply::{Outcome, Refusal, Reply};

/// What compatibility mode needs in addition.
pub struct Script {
    /// The page that asks for the key, with the placeholder `{username}`.
    template: String,
    /// The digest of the key printed last for each account, until it is used. Bounded by the
    /// number of accounts, since only a right password prints one.
    printed: Mutex<HashMap<String, Digest>>,
    /// Standard output.
    out: Lines,
}

impl Script {
    /// `template` asks for the key and has the placeholder `{username}`; `out` is standard output.
    pub fn new(template: String, out: Lines) -> Self {
        Self {
            template,
            printed: Mutex::default(),
            out,
        }
    }

    /// Prints a fresh key for this login, alone on a line, as the script does.
    fn print_key(&self, username: &str) {
        let key = BASE32.encode(&token::random::<10>());
        self.printed()
            .insert(names::key(username).into_owned(), Digest::of(&key));
        // If nobody reads the key, this login cannot be completed, and no other one waits for it.
        self.out.put(format!("{key}\n").as_bytes());
    }

    /// Takes the key printed for this account if it is the one that was typed: it works once.
    fn take_key(&self, username: &str, typed: &str) -> Option<Digest> {
        let name = names::key(username);
        let mut printed = self.printed();
        let right = printed
            .get(name.as_ref())
            .is_some_and(|key| key.matches(&typed.to_ascii_uppercase()));
        if right {
            printed.remove(name.as_ref())
        } else {
            None
        }
    }

    fn printed(&self) -> std::sync::MutexGuard<'_, HashMap<String, Digest>> {
        self.printed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `POST /login`: a right password prints a key and earns the page that asks for it.
pub(super) fn login(app: &App, request: &Request) -> Answer {
    let script = of(app)?;
    let Credentials { name, password } = Credentials::parse(request)?;

    let Some(proof) = check_password(app, request, &name, &password)? else {
        let says = match app.store.account(&name)? {
            None => "User is not found.",
            Some(_) => "Wrong password.",
        };
        let refusal = script_says(says).about(&name);
        return Err(refusal.telling_refused(Outcome::WrongCredentials.code()));
    };
    let username = proof.username.clone();
    note_password(app, request, proof, password)?;
    script.print_key(&username);

    let page = pages::compat_code(&script.template, &username);
    Ok(Reply::from(Outcome::ScriptPage(page)).about(&username))
}

/// Leads to the login page: the page for the key has no place for a problem.
pub(super) fn secret_key_again(_: &App, _: &Request, refusal: Refusal) -> Refusal {
    refusal.leading_to(Way::new("/login", "Log in"))
}

/// `POST /secret_key`: the printed key, which works once, or a code of the authenticator.
pub(super) fn secret_key(app: &App, request: &Request) -> Answer {
    let script = of(app)?;
    let ScriptCodeForm { secret, name } = ScriptCodeForm::parse(request)?;
    let typed = secret.to_string();

    let key = script.take_key(&name, &typed);
    let code = Code {
        username: name.clone(),
        tried: match key {
            Some(_) => Tried::PrintedKey,
            None => Tried::Own(typed.clone()),
        },
        known: None,
        after_mail: false,
        pending: None,
        now: request.received,
    };
    let step = Step {
        key_is_right: key.is_some(),
        typed,
        network: Network::of(request.client),
        now: request.received,
    };
    let entry = Entry::new(app, request);
    let start = entry.start();
    let begun = code.begin(app, request);
    let judged = begun.and_then(|begun| {
        begun.judge(is_enabled, move |person| {
            let username = step.judge(person.account_mut())?;
            start.begin(person);
            Ok(username)
        })
    });
    // A login that was refused or not saved does not use up the key.
    if !matches!(judged, Ok(Ok(_))) {
        key.map(|key| script.printed().insert(names::key(&name).into_owned(), key));
    }
    let judged = judged.map_err(|refusal| refusal.about(&name))?;
    let username = judged.map_err(|why| Refusal::from(Outcome::from(why)).about(&name))?;
    let cookies = entry.hand_out(app, request, &username, None);
    let reply = Reply::from(Outcome::LoginComplete(Vec::new()));
    Ok(reply
        .then_to("/account")
        .with_cookies(cookies)
        .entered_by(SecondStep::Code)
        .about(&username))
}

fn is_enabled(person: Option<&Person<'_>>) -> Result<(), Outcome> {
    let is_enabled = person.is_some_and(|person| !person.account().disabled);
    is_enabled.then_some(()).ok_or(Outcome::WrongCode)
}

/// The second step as a change of the account.
struct Step {
    key_is_right: bool,
    typed: String,
    network: Network,
    now: Moment,
}

impl Step {
    /// Gives the username whose login this completes.
    fn judge(&self, account: &mut Account) -> Judged<String> {
        account.accept_printed_key(self.key_is_right, &self.typed, self.now)?;
        account.logged_in(None, self.network, self.now.timestamp());
        Ok(account.username.clone())
    }
}

/// The recovery page again, with what is wrong.
pub(super) fn forgot_password_again(app: &App, request: &Request, refusal: Refusal) -> Refusal {
    let typed = Typed::of(app, request);
    let page = Forgot {
        username: typed.username,
        form: typed.form,
        ..Forgot::default()
    };
    refusal.beside(|problem| page.refused(problem))
}

/// `POST /forgot_password`: a new password, at once and in the answer.
pub(super) fn forgot_password(app: &App, request: &Request) -> Answer {
    let name = ForgotForm::parse(app, request)?.name;

    let now = request.received.steady;
    // Nothing is mailed here: the limit is on the answers, each of which holds a password.
    let counted = app.throttle.recovery(request.client, now);
    counted.map_err(too_often)?;
    let found = app.store.account(&name)?;
    let account = found.ok_or_else(|| script_says("User is not found."))?;
    let new: String = token::random::<8>()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let standing = app.throttle.standing(request.client)?;
    let hashed = hash(app, request, standing, &Password::new(&new))?;
    app.store.change(&account.username, move |person| {
        let account = person.account_mut();
        account.change_password(hashed.clone(), None);
    })?;

    let text = format!("your new password: {new}");
    Ok(Reply::from(Outcome::Script(text))
        .then_to("/login")
        .telling(Kind::PasswordChanged)
        .about(&account.username))
}

/// The login page again, with what is wrong.
pub(super) fn login_again(app: &App, request: &Request, refusal: Refusal) -> Refusal {
    let typed = Typed::of(app, request);
    let page = Login {
        username: typed.username,
        form: typed.form,
        ..Login::default()
    };
    refusal.beside(|problem| page.refused(problem))
}

/// What compatibility mode needs. Its rows are used only where that is set.
fn of(app: &App) -> Result<&Script, Refusal> {
    Ok(app.script.as_ref().ok_or(Outcome::NotFound)?)
}

fn script_says(text: &str) -> Refusal {
    Outcome::Script(text.to_owned()).into()
}
