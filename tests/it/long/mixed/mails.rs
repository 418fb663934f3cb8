//! The mails that came, for those who wait for them and for the comparison at the end.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::harness::smtp_sink::Mail;

/// Between two looks whether it is over.
const LOOK: Duration = Duration::from_millis(200);

#[derive(Default)]
pub(super) struct Mailbox {
    mails: Mutex<Mails>,
    changed: Condvar,
}

#[derive(Default)]
struct Mails {
    /// What waits for whom.
    by_recipient: HashMap<String, Vec<String>>,
    /// How often each came, by what is in its Message-ID.
    by_id: BTreeMap<String, u64>,
    /// The links and passwords in them, and in which mails each was.
    secrets: HashMap<String, BTreeSet<String>>,
}

impl Mailbox {
    /// Takes mails in until it is over.
    pub(super) fn fill(&self, mails: &Receiver<Mail>, over: &AtomicBool) {
        while !over.load(Ordering::Relaxed) {
            let Ok(mail) = mails.recv_timeout(LOOK) else {
                continue;
            };
            let id = field(&mail.text, "Message-ID: <");
            let id = id.split('@').next().unwrap().to_owned();
            let to = field(&mail.text, "To: ").to_owned();
            let mut kept = self.mails.lock().unwrap_or_else(PoisonError::into_inner);
            for secret in ["/confirm?token=", "New password: "] {
                if let Some(secret) = after(&mail.text, secret) {
                    kept.secrets.entry(secret).or_default().insert(id.clone());
                }
            }
            *kept.by_id.entry(id).or_default() += 1;
            kept.by_recipient.entry(to).or_default().push(mail.text);
            self.changed.notify_all();
        }
    }

    /// What stands behind `mark` in a mail to this address, once one comes that has it; each counts
    /// once.
    pub(super) fn secret(&self, to: &str, mark: &str, patience: Duration) -> Option<String> {
        let mut found = None;
        let kept = self.mails.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = self
            .changed
            .wait_timeout_while(kept, patience, |kept| {
                let mails = kept.by_recipient.entry(to.to_owned()).or_default();
                let at = mails.iter().position(|mail| after(mail, mark).is_some());
                found = at.and_then(|at| after(&mails.remove(at), mark));
                found.is_none()
            })
            .unwrap_or_else(PoisonError::into_inner);
        found
    }

    /// How often each mail came, by what is in its Message-ID.
    pub(super) fn ids(&self) -> BTreeMap<String, u64> {
        let kept = self.mails.lock().unwrap_or_else(PoisonError::into_inner);
        kept.by_id.clone()
    }

    /// How many links and passwords came in mails that a receiver cannot know for copies.
    pub(super) fn repeated(&self) -> usize {
        let kept = self.mails.lock().unwrap_or_else(PoisonError::into_inner);
        kept.secrets.values().filter(|ids| ids.len() > 1).count()
    }
}

fn field<'a>(mail: &'a str, name: &str) -> &'a str {
    let line = mail.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in {mail}"))
}

/// What stands behind this mark, up to the end of the line.
fn after(mail: &str, mark: &str) -> Option<String> {
    let line = mail.lines().find_map(|line| Some(line.split_once(mark)?.1));
    line.map(|rest| rest.trim_end().to_owned())
}
