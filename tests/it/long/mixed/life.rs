//! The life of an account, step by step. What was refused is tried again; where nobody knows whether
//! something was done, the life ends, and whatever may be so is noted.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::harness::Authenticator;
use crate::long::mixed::client::{Browser, Told, asker, checked};
use crate::long::mixed::ledger::{Fate, Ledger, Person};
use crate::long::mixed::mails::Mailbox;
use crate::long::mixed::site::Site;
use crate::operator::run;

/// Between two steps: the load is to be modest.
const PACE: Duration = Duration::from_millis(300);

/// How long a refused step is tried again.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a mail is waited for. One that asks to confirm an address may not come at all, since
/// there are 200 an hour; and one of a node that dies with it in its hands comes a minute later.
const MAIL: Duration = Duration::from_secs(5);

/// From an end until it holds everywhere, and where a node cannot reach the database.
const HOLDS: Duration = Duration::from_secs(1);
const HOLDS_AWAY: Duration = Duration::from_secs(6);

/// Refusals that faults explain. Any other one is wrong.
const EXCUSED: [&str; 3] = ["busy", "not_saved", "no node"];

/// How long a code of an authenticator is the current one, in seconds.
const STEP: u64 = 30;

/// What lives go on in.
pub(super) struct World<'a> {
    pub(super) site: &'a Site,
    pub(super) ledger: &'a Ledger,
    pub(super) mailbox: &'a Mailbox,
    pub(super) over: &'a AtomicBool,
}

/// Why a life goes no further.
enum End {
    NobodyKnows,
    /// It was refused for too long, or the load ends.
    Stopped,
    /// A mail that never came.
    NoMail,
}

struct Life<'a> {
    world: &'a World<'a>,
    person: Person,
    address: String,
    /// With the last step whose code was good.
    phone: Option<(Authenticator, u64)>,
    recovery_codes: Vec<String>,
}

/// Somebody registers, logs in, changes things, and leaves, in one of several ways.
pub(super) fn live(world: &World<'_>, number: u64) {
    let mut life = Life {
        world,
        person: Person::new(String::new()),
        address: format!(
            "10.{}.{}.{}",
            number >> 16 & 255,
            number >> 8 & 255,
            number & 255
        ),
        phone: None,
        recovery_codes: Vec::new(),
    };
    let ended = match life.go(number) {
        Ok(()) => "to its end",
        Err(End::NobodyKnows) => "until nobody knew",
        Err(End::Stopped) => "until it was refused for long, or the end",
        Err(End::NoMail) => "until a mail did not come",
    };
    world.ledger.count(&format!("lives {ended}"));
    world.ledger.kept().people.push(life.person);
}

impl Life<'_> {
    fn go(&mut self, number: u64) -> Result<(), End> {
        let mut first = Browser::new(self.world.site.port, &self.address);
        let mut second = Browser::new(self.world.site.port, &self.address);
        self.register(&mut first, number)?;
        self.prove(&mut first)?;
        self.enrol(&mut first)?;
        self.log_in(&mut second)?;
        self.change_password(&mut first)?;
        self.log_in_by_recovery_code(&mut second)?;
        self.change_address(&mut first)?;
        if number.is_multiple_of(2) {
            self.log_out(&mut second)?;
            self.recover(&mut second)?;
            first = second;
        }
        match number % 5 {
            0 => self.be_disabled(),
            1 => self.delete(&mut first),
            2 => self.end_others(&mut first),
            3 => self.log_out(&mut first),
            _ => {
                let lasting = first.session();
                self.world.ledger.kept().lasting.extend(lasting);
                Ok(())
            }
        }
    }

    /// Asks until it is done.
    fn step(&mut self, what: &str, mut ask: impl FnMut(&mut Self) -> Told) -> Result<Value, End> {
        let World {
            ledger, site, over, ..
        } = self.world;
        let begun = Instant::now();
        loop {
            thread::sleep(PACE);
            if over.load(Ordering::Relaxed) || begun.elapsed() > PATIENCE {
                return Err(End::Stopped);
            }
            let asked = Instant::now();
            match ask(self) {
                Told::Done(said) => {
                    ledger.count(&format!("{what}: done"));
                    return Ok(said);
                }
                Told::Unknown => {
                    ledger.count(&format!("{what}: unknown"));
                    return Err(End::NobodyKnows);
                }
                Told::Refused(code) => {
                    let well = match site.was_well_since(asked) {
                        true => ", while all was well",
                        false => "",
                    };
                    ledger.count(&format!("{what}: {code}{well}"));
                    if !EXCUSED.contains(&code.as_str()) {
                        let name = &self.person.name;
                        ledger.broken(format!("{name}: {what} was refused: {code}"));
                        return Err(End::Stopped);
                    }
                }
            }
        }
    }

    /// What is noted where nobody knows.
    fn noting<T>(
        &mut self,
        told: Result<T, End>,
        note: impl FnOnce(&mut Person),
    ) -> Result<T, End> {
        if matches!(told, Err(End::NobodyKnows)) {
            note(&mut self.person);
        }
        told
    }

    /// Another name each time: of one that was refused there must be nothing.
    fn register(&mut self, browser: &mut Browser, number: u64) -> Result<(), End> {
        let mut attempt = 0;
        let told = self.step("registration", |life| {
            let next = Person::new(format!("user{number}.{attempt}"));
            let refused = std::mem::replace(&mut life.person, next);
            if attempt > 0 {
                life.world.ledger.kept().people.push(refused);
            }
            attempt += 1;
            let Person {
                name,
                emails,
                passwords,
                ..
            } = &life.person;
            let form = [
                ("username", name.as_str()),
                ("email", &emails[0]),
                ("password", &passwords[0]),
            ];
            browser.post("/register", &form)
        });
        self.noting(told, |person| person.exists = Fate::Unknown)?;
        self.person.exists = Fate::Yes;
        Ok(())
    }

    /// Uses the link that was mailed to the address.
    fn prove(&mut self, browser: &mut Browser) -> Result<(), End> {
        let told = self.confirm(browser, &self.person.emails[0].clone());
        match self.noting(told, |person| person.is_proven = Fate::Unknown) {
            Ok(()) => self.person.is_proven = Fate::Yes,
            Err(End::NoMail) => self.world.ledger.count("lives without a proven address"),
            Err(end) => return Err(end),
        }
        Ok(())
    }

    fn confirm(&mut self, browser: &mut Browser, email: &str) -> Result<(), End> {
        let token = self.mailed(email, "/confirm?token=")?;
        self.step("confirmation", |_| {
            browser.post("/confirm", &[("token", &token)])
        })?;
        Ok(())
    }

    fn mailed(&self, to: &str, mark: &str) -> Result<String, End> {
        let found = self.world.mailbox.secret(to, mark, MAIL);
        found.ok_or(End::NoMail)
    }

    /// The password. Whether it was looked at makes no difference: who does not know asks again.
    fn first_step(&mut self, browser: &mut Browser, password: &str) -> Result<Value, End> {
        loop {
            let name = self.person.name.clone();
            let form = [("username", name.as_str()), ("password", password)];
            match self.step("password", |_| browser.post("/login", &form)) {
                Err(End::NobodyKnows) => {}
                told => return told,
            }
        }
    }

    fn enrol(&mut self, browser: &mut Browser) -> Result<(), End> {
        let said = self.first_step(browser, &self.person.passwords[0].clone())?;
        let key = said["secret"].as_str().unwrap();
        self.phone = Some((Authenticator::new(key), 0));
        let told = self.code(browser, "enrolment");
        let said = self.noting(told, |person| {
            person.codes = 0..=10;
            person.more_sessions = 1;
        })?;
        let codes = said["recovery_codes"].as_array().unwrap().iter();
        self.recovery_codes = codes
            .map(|code| code.as_str().unwrap().to_owned())
            .collect();
        self.person.codes = 10..=10;
        self.is_in(browser);
        Ok(())
    }

    fn log_in(&mut self, browser: &mut Browser) -> Result<(), End> {
        self.first_step(browser, &self.person.passwords[0].clone())?;
        let told = self.code(browser, "code");
        self.noting(told, |person| person.more_sessions += 1)?;
        self.is_in(browser);
        Ok(())
    }

    /// The second step, with the phone. The code of a refused attempt is good for the next.
    fn code(&mut self, browser: &mut Browser, what: &str) -> Result<Value, End> {
        let mut step = 0;
        let said = self.step(what, |life| {
            let (phone, last) = life.phone.as_ref().unwrap();
            step = current_step().max(last + 1);
            while step > current_step() {
                thread::sleep(PACE);
            }
            browser.post("/secret_key", &[("secret", &phone.at(step))])
        })?;
        self.phone.as_mut().unwrap().1 = step;
        Ok(said)
    }

    fn is_in(&mut self, browser: &Browser) {
        let session = browser.session().unwrap();
        self.person.sessions.insert(session, Fate::Yes);
    }

    fn change_password(&mut self, browser: &mut Browser) -> Result<(), End> {
        let old = self.person.passwords[0].clone();
        let mut attempt = 0;
        let mut new = String::new();
        let told = self.step("new password", |life| {
            attempt += 1;
            new = format!("{} has horses, {attempt}", life.person.name);
            let form = [("current_password", old.as_str()), ("new_password", &new)];
            browser.post("/account/password", &form)
        });
        self.has_password(told, browser, new)
    }

    /// A new password ends all sessions but the one that asks, which has a new cookie.
    fn has_password(
        &mut self,
        told: Result<Value, End>,
        browser: &Browser,
        new: String,
    ) -> Result<(), End> {
        let may_be = new.clone();
        self.noting(told, |person| {
            person.passwords.push(may_be);
            person.may_have_ended();
            person.more_sessions += 1;
        })?;
        self.person.passwords = vec![new];
        self.is_in(browser);
        let ended = self.person.end_but(browser.session().as_deref());
        self.expect_refused(&ended);
        Ok(())
    }

    fn log_in_by_recovery_code(&mut self, browser: &mut Browser) -> Result<(), End> {
        self.first_step(browser, &self.person.passwords[0].clone())?;
        self.recovery_code(browser, 1)?;
        self.is_in(browser);
        Ok(())
    }

    /// The second step, with a recovery code, which may begin so many sessions.
    fn recovery_code(&mut self, browser: &mut Browser, sessions: usize) -> Result<(), End> {
        let code = self.recovery_codes.pop().unwrap();
        let left = *self.person.codes.end();
        let told = self.step("recovery code", |_| {
            browser.post("/secret_key", &[("secret", &code)])
        });
        self.noting(told, |person| {
            person.codes = left - 1..=left;
            person.more_sessions += sessions;
        })?;
        self.person.codes = left - 1..=left - 1;
        Ok(())
    }

    fn change_address(&mut self, browser: &mut Browser) -> Result<(), End> {
        let password = self.person.passwords[0].clone();
        let new = format!("{}.new@example.com", self.person.name);
        let form = [("current_password", password.as_str()), ("email", &new)];
        self.step("new address", |_| browser.post("/account/email", &form))?;
        let told = self.confirm(browser, &new);
        match self.noting(told, |person| {
            person.emails.push(new.clone());
            person.is_proven = Fate::Unknown;
        }) {
            Ok(()) => {
                self.person.emails = vec![new];
                self.person.is_proven = Fate::Yes;
            }
            Err(End::NoMail) => self.world.ledger.count("lives without another address"),
            Err(end) => return Err(end),
        }
        Ok(())
    }

    fn log_out(&mut self, browser: &mut Browser) -> Result<(), End> {
        let session = browser.session().unwrap();
        let told = self.step("log-out", |_| browser.post("/logout", &[]));
        self.noting(told, |person| {
            person.sessions.insert(session.clone(), Fate::Unknown);
        })?;
        self.person.sessions.insert(session.clone(), Fate::No);
        self.expect_refused(&[session]);
        Ok(())
    }

    /// Forgets the password and chooses another.
    fn recover(&mut self, browser: &mut Browser) -> Result<(), End> {
        let (name, email) = (self.person.name.clone(), self.person.emails[0].clone());
        self.step("forgotten", |_| {
            browser.post("/forgot_password", &[("username", &name)])
        })?;
        let mailed = self.mailed(&email, "New password: ")?;
        self.first_step(browser, &mailed)?;
        self.recovery_code(browser, 0)?;
        let mut attempt = 0;
        let mut new = String::new();
        let told = self.step("chosen password", |life| {
            attempt += 1;
            new = format!("{} has more horses, {attempt}", life.person.name);
            browser.post("/account/password", &[("new_password", &new)])
        });
        // Whoever has used what was mailed there has the address.
        let told = self.noting(told, |person| person.is_proven = Fate::Unknown);
        self.has_password(told, browser, new)?;
        self.person.is_proven = Fate::Yes;
        Ok(())
    }

    /// By an operator, with the command.
    fn be_disabled(&mut self) -> Result<(), End> {
        let name = self.person.name.clone();
        let told = self.step("disabling", |life| {
            let (status, _, err) = run(&life.world.site.setup, &["user", "disable", &name], b"");
            match status {
                0 => Told::Done(Value::Null),
                1 if err.contains("look before you try again") => Told::Unknown,
                1 => Told::Refused("busy".to_owned()),
                other => Told::Refused(format!("{other}: {err}")),
            }
        });
        self.noting(told, |person| {
            person.is_disabled = Fate::Unknown;
            person.may_have_ended();
        })?;
        self.person.is_disabled = Fate::Yes;
        let ended = self.person.end_but(None);
        self.expect_refused(&ended);
        Ok(())
    }

    fn delete(&mut self, browser: &mut Browser) -> Result<(), End> {
        let (password, code) = (
            self.person.passwords[0].clone(),
            self.recovery_codes[0].clone(),
        );
        let form = [("current_password", password.as_str()), ("secret", &code)];
        let told = self.step("deletion", |_| browser.post("/account/delete", &form));
        let left = *self.person.codes.end();
        self.noting(told, |person| {
            person.exists = Fate::Unknown;
            person.codes = left - 1..=left;
            person.may_have_ended();
        })?;
        self.person.exists = Fate::No;
        let ended = self.person.end_but(None);
        self.expect_refused(&ended);
        Ok(())
    }

    fn end_others(&mut self, browser: &mut Browser) -> Result<(), End> {
        let told = self.step("end of others", |_| {
            browser.post("/account/sessions/end", &[("session", "others")])
        });
        let own = browser.session();
        self.noting(told, |person| {
            person.may_have_ended();
            person
                .sessions
                .extend(own.clone().map(|own| (own, Fate::Yes)));
        })?;
        let ended = self.person.end_but(own.as_deref());
        self.expect_refused(&ended);
        Ok(())
    }

    /// Asks both nodes about sessions that have just ended, once that must hold.
    fn expect_refused(&self, sessions: &[String]) {
        let World { ledger, site, .. } = self.world;
        let (ended, agent) = (Instant::now(), asker());
        thread::sleep(HOLDS);
        for (session, port) in sessions
            .iter()
            .flat_map(|one| site.ports.map(|port| (one, port)))
        {
            let mut answer = checked(&agent, port, session);
            if answer == Some(200) && !site.was_well_since(ended) {
                ledger.count("an end that held later, while not all was well");
                thread::sleep((ended + HOLDS_AWAY).saturating_duration_since(Instant::now()));
                answer = checked(&agent, port, session);
            }
            match answer {
                Some(200) => {
                    let name = &self.person.name;
                    ledger.broken(format!("a session of {name} has ended and is let in"));
                }
                Some(_) => ledger.count("an end asked for at a node: it holds"),
                None => ledger.count("an end asked for at a node: no answer"),
            }
        }
    }
}

fn current_step() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs() / STEP
}
