//! What people were told, kept until it is compared with what is there.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::harness::PASSWORD;

/// Whether something is so, as far as somebody was told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fate {
    Yes,
    No,
    Unknown,
}

/// Somebody, and how their account must be.
#[derive(Debug)]
pub(super) struct Person {
    pub(super) name: String,
    pub(super) exists: Fate,
    /// What their address may be, and their password.
    pub(super) emails: Vec<String>,
    pub(super) passwords: Vec<String>,
    pub(super) is_proven: Fate,
    pub(super) is_disabled: Fate,
    /// How many recovery codes are left.
    pub(super) codes: RangeInclusive<usize>,
    /// By their cookies, and whether they live.
    pub(super) sessions: BTreeMap<String, Fate>,
    /// How many more there may be, of which nobody has the cookie.
    pub(super) more_sessions: usize,
}

impl Person {
    pub(super) fn new(name: String) -> Self {
        Self {
            exists: Fate::No,
            emails: vec![format!("{name}@example.com")],
            passwords: vec![PASSWORD.to_owned()],
            is_proven: Fate::No,
            is_disabled: Fate::No,
            codes: 0..=0,
            sessions: BTreeMap::new(),
            more_sessions: 0,
            name,
        }
    }

    /// Has all sessions end but this one; gives those that lived.
    pub(super) fn end_but(&mut self, kept: Option<&str>) -> Vec<String> {
        self.more_sessions = 0;
        let others = self.sessions.iter_mut();
        let others = others.filter(|(cookie, _)| Some(cookie.as_str()) != kept);
        let ended = others.filter_map(|(cookie, fate)| {
            let lived = *fate == Fate::Yes;
            *fate = Fate::No;
            lived.then(|| cookie.clone())
        });
        ended.collect()
    }

    /// Nobody knows whether they have ended.
    pub(super) fn may_have_ended(&mut self) {
        for fate in self.sessions.values_mut() {
            if *fate == Fate::Yes {
                *fate = Fate::Unknown;
            }
        }
    }
}

/// Everybody, and what was seen on the way.
#[derive(Default)]
pub(super) struct Ledger(Mutex<Kept>);

#[derive(Default)]
pub(super) struct Kept {
    pub(super) people: Vec<Person>,
    /// Sessions that live and that nobody ends any more.
    pub(super) lasting: Vec<String>,
    /// What must not have happened.
    pub(super) broken: Vec<String>,
    /// How often each thing was done, refused or left open.
    pub(super) counts: BTreeMap<String, u64>,
}

impl Ledger {
    pub(super) fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count(&self, what: &str) {
        *self.kept().counts.entry(what.to_owned()).or_default() += 1;
    }

    pub(super) fn broken(&self, what: String) {
        println!("BROKEN: {what}");
        self.kept().broken.push(what);
    }
}
