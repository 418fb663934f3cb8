#![allow(clippy::unwrap_used)]

mod delivery;
mod directory;
#[cfg(feature = "databases")]
mod rows;
mod sink;
mod tls;
mod writing;

use std::ffi::OsStr;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::accounts::Account;
use crate::accounts::password::PasswordHash;
use crate::clock::{Moment, Timestamp};
use crate::mail::courier::Schedule;
use crate::mail::{Mail, Outbox, Sender, SmtpUrl};

const SITE: &str = "https://login.example.com";

/// 22 November 2026, 12:00:00 UTC.
fn noon() -> Moment {
    Moment {
        wall: 1_795_348_800,
        steady: Duration::from_secs(1_795_348_800),
    }
}

fn owner(address: &str, username: &str) -> Account {
    Account::new(username, address, PasswordHash::quick(), Timestamp(0))
}

fn mail_to(address: &str) -> Mail {
    mail_at(noon(), address)
}

fn mail_at(at: Moment, address: &str) -> Mail {
    let alice = owner(address, "alice");
    Mail::new_password(&alice, "s3cret-password", at, 30, SITE).unwrap()
}

fn sender() -> Sender {
    Sender::parse("login@example.com").unwrap()
}

/// An outbox without SMTP.
fn quiet(dir: &Path) -> Outbox {
    Outbox::open(dir.to_owned(), sender(), None).unwrap()
}

fn sending(dir: &Path, server: SocketAddr) -> Outbox {
    with_schedule(dir, &format!("smtp://{server}?tls=none"), impatient())
}

fn with_schedule(dir: &Path, url: &str, schedule: Schedule) -> Outbox {
    let url = SmtpUrl::parse(url).unwrap();
    Outbox::open_with(dir.to_owned(), sender(), Some((url, schedule))).unwrap()
}

fn impatient() -> Schedule {
    Schedule {
        pause: Box::new(|_| Duration::ZERO),
        give_up: Duration::from_secs(24 * 60 * 60),
    }
}

/// A schedule on which nothing is tried again soon, and what tells of the failures.
fn one_failure_an_hour() -> (Schedule, Receiver<()>) {
    let (failed, failures) = channel();
    let schedule = Schedule {
        pause: Box::new(move |_| {
            let _ = failed.send(());
            Duration::from_secs(3600)
        }),
        ..impatient()
    };
    (schedule, failures)
}

/// Waits for the sending thread to end, so that the directory no longer changes.
fn finish(outbox: &Outbox) {
    assert!(outbox.stop_within(Duration::from_secs(60)));
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Runs one test again in a process of its own, with another umask and environment.
fn again(test: &str, umask: &str, environment: &[(&str, &OsStr)]) -> Output {
    Command::new("sh")
        .args(["-c", "umask $1; exec \"$0\" --exact \"$2\" --nocapture"])
        .arg(std::env::current_exe().unwrap())
        .args([umask, test])
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}
