//! What is there, compared with what was told.

use std::collections::{HashMap, HashSet};
use std::thread;
use std::time::{Duration, Instant};

use auth_user::accounts::password::{Password, PasswordHash, verify};
use auth_user::accounts::token::Digest;
use serde_json::Value;

use crate::harness::wait_for;
use crate::long::mixed::client::{asker, checked};
use crate::long::mixed::ledger::{Fate, Ledger, Person};
use crate::long::mixed::mails::Mailbox;
use crate::long::mixed::site::Site;

/// How long the last mails may take: what a node held that died waits for a minute, and longer after
/// each failure.
const LAST_MAILS: Duration = Duration::from_secs(300);

/// Threads that look at passwords.
const LOOKING: usize = 2;

pub(super) fn compare(site: &Site, ledger: &Ledger, mailbox: &Mailbox) {
    let people = std::mem::take(&mut ledger.kept().people);
    for port in site.ports {
        wait_for("both nodes to be as before", || {
            let answer = ureq::get(format!("http://127.0.0.1:{port}/healthz")).call();
            answer.is_ok().then_some(())
        });
    }
    println!("comparing {} people with what is there", people.len());
    compare_sessions(site, ledger, &people);
    compare_accounts(site, ledger, &people);
    compare_mails(site, ledger, mailbox);
    let log = site.log();
    for line in log.lines().filter(|line| line.contains("panic")) {
        ledger.broken(line.to_owned());
    }
}

fn compare_accounts(site: &Site, ledger: &Ledger, people: &[Person]) {
    let rows = site.sql("SELECT username || chr(9) || body FROM account");
    let rows = rows.lines().map(|row| {
        let (name, body) = row.split_once('\t').unwrap();
        (name.to_owned(), serde_json::from_str(body).unwrap())
    });
    let accounts: HashMap<String, Value> = rows.collect();
    let told: HashSet<&str> = people.iter().map(|person| person.name.as_str()).collect();
    for name in accounts.keys().filter(|name| !told.contains(name.as_str())) {
        ledger.broken(format!("nobody asked for {name}"));
    }
    let accounts = &accounts;
    thread::scope(|scope| {
        for first in 0..LOOKING {
            scope.spawn(move || {
                for person in people.iter().skip(first).step_by(LOOKING) {
                    for what in differences(person, accounts.get(&person.name)) {
                        ledger.broken(format!("{}: {what}: {person:?}", person.name));
                    }
                }
            });
        }
    });
}

/// What is not as this person was told.
fn differences(person: &Person, account: Option<&Value>) -> Vec<&'static str> {
    let Some(account) = account else {
        return match person.exists {
            Fate::Yes => vec!["the account is lost"],
            Fate::No | Fate::Unknown => vec![],
        };
    };
    let is = |field: &str| account[field].as_bool().unwrap_or_default();
    let hash = PasswordHash::parse(account["password"].as_str().unwrap()).unwrap();
    let of = |password: &String| verify(Some(&hash), &Password::new(password));
    let codes = account["recovery_codes"].as_array().map_or(0, Vec::len);
    let email = account["email"].as_str().unwrap().to_owned();
    let may_be = |told: Fate, is: bool| match told {
        Fate::Yes => is,
        Fate::No => !is,
        Fate::Unknown => true,
    };
    let judged = [
        (person.exists != Fate::No, "there is an account"),
        (person.emails.contains(&email), "another address"),
        (
            may_be(person.is_proven, is("email_proven")),
            "whether it is proven",
        ),
        (
            may_be(person.is_disabled, is("disabled")),
            "whether it is disabled",
        ),
        (
            person.codes.contains(&codes),
            "another number of recovery codes",
        ),
        (person.passwords.iter().any(of), "another password"),
    ];
    let wrong = judged.into_iter().filter(|(is_so, _)| !is_so);
    wrong.map(|(_, what)| what).collect()
}

/// At both nodes, and as rows: an ended one is not there, whatever becomes of its account.
fn compare_sessions(site: &Site, ledger: &Ledger, people: &[Person]) {
    let rows = site.sql("SELECT name || chr(9) || id FROM session");
    let mut rows_of: HashMap<String, Vec<&str>> = HashMap::new();
    for row in rows.lines() {
        let (name, id) = row.split_once('\t').unwrap();
        rows_of.entry(name.to_owned()).or_default().push(id);
    }
    let agent = asker();
    for person in people {
        let rows = rows_of.remove(&person.name).unwrap_or_default();
        let mut unknown = person.more_sessions;
        for (cookie, fate) in &person.sessions {
            let is_there = rows.contains(&Digest::of(cookie).text().as_str());
            let answers = site
                .ports
                .map(|port| checked(&agent, port, cookie) == Some(200));
            let is_right = match fate {
                Fate::Yes => is_there && answers == [true; 2],
                Fate::No => !is_there && answers == [false; 2],
                Fate::Unknown => answers[0] == answers[1],
            };
            unknown += usize::from(*fate == Fate::Unknown);
            ledger.count(&format!("sessions compared: {fate:?}"));
            if !is_right {
                let what = format!("a session ({fate:?}) is there: {is_there}, {answers:?}");
                ledger.broken(format!("{what}: {person:?}"));
            }
        }
        let living = person.sessions.values().filter(|fate| **fate == Fate::Yes);
        if rows.len() > living.count() + unknown {
            ledger.broken(format!("a session that nobody began: {person:?}"));
        }
    }
    for name in rows_of.keys() {
        ledger.broken(format!("sessions of {name}, of whom nobody knows"));
    }
}

/// Each that was posted came, and what came twice can be known for a copy.
fn compare_mails(site: &Site, ledger: &Ledger, mailbox: &Mailbox) {
    let begun = Instant::now();
    while site.sql("SELECT count(*) FROM mail WHERE NOT is_aside") != "0" {
        if begun.elapsed() > LAST_MAILS {
            ledger.broken("mails wait that nobody sends".to_owned());
            break;
        }
        thread::sleep(Duration::from_secs(1));
    }
    // The last one may still be on its way from the mail server to the box.
    thread::sleep(Duration::from_secs(1));
    let mut came = mailbox.ids();
    let posted = site.sql("SELECT id FROM posted");
    for id in posted.lines() {
        let (_, id) = id.split_once('-').unwrap();
        match came.remove(id) {
            None => ledger.broken(format!("the mail {id} was posted and never came")),
            Some(1) => ledger.count("mails that came once"),
            Some(_) => ledger.count("mails that came again, as the same"),
        }
    }
    for id in came.keys() {
        ledger.broken(format!("the mail {id} came, and nobody posted it"));
    }
    if mailbox.repeated() > 0 {
        ledger.broken("a link or password came in two mails".to_owned());
    }
}
