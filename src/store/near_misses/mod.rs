//! Slips in the names of fields: `disbled` would be kept as somebody else's field, and the account
//! would stay open, without a word.
//!
//! The reader of accounts does not know where a field stood, so the text is gone through once more,
//! but only if there is something to look for.

use std::collections::HashMap;
use std::fmt;

use crate::accounts::kept::Unknown;
use crate::accounts::{Account, Accounts};
use crate::store::json;

mod reader;
#[cfg(test)]
mod tests;

/// Most slips that are reported one by one: a script may have made the same one in every account.
const MAX_TOLD: usize = 50;

/// Longest name, in letters, in which one letter may differ; in longer names two may.
const SHORT: usize = 5;

/// What an object holds, as far as this program knows.
#[derive(Clone, Copy)]
enum Shape {
    /// Objects or lists of objects, by the names of the fields they are in.
    Fields(&'static [(&'static str, Shape)]),
    /// The same fields under each name; the names are free.
    Names(&'static [(&'static str, Shape)]),
    /// When an account was made.
    Created,
    Other,
}

use Shape::{Fields, Names, Other};

const FILE: &[(&str, Shape)] = &[
    ("version", Other),
    ("users", Names(ACCOUNT)),
    ("former", Other),
    ("confirmations", Other),
    ("invitations", Other),
];

const ACCOUNT: &[(&str, Shape)] = &[
    ("email", Other),
    ("email_proven", Other),
    ("id", Other),
    ("password", Other),
    ("created", Shape::Created),
    ("last_login", Other),
    ("groups", Other),
    ("totp", Fields(&[("secret", Other), ("last_step", Other)])),
    ("handle", Other),
    ("passkeys", Fields(PASSKEY)),
    ("tokens", Fields(TOKEN)),
    ("recovery_codes", Other),
    ("disabled", Other),
    ("generation", Other),
    ("kept_session", Other),
    ("shown_again", Fields(&[("session", Other), ("at", Other)])),
    ("mailed_passwords", Fields(MAILED)),
    // From an earlier version.
    ("mailed_password", Fields(MAILED)),
    ("mails", Fields(&[("at", Other), ("network", Other)])),
    ("wrong_codes", Fields(WRONG_CODES)),
    ("devices", Fields(DEVICE)),
    (
        "networks",
        Fields(&[("network", Other), ("last_login", Other)]),
    ),
    ("registered", Other),
    ("seal", Other),
];

const PASSKEY: &[(&str, Shape)] = &[
    ("id", Other),
    ("key", Other),
    ("name", Other),
    ("created", Other),
    ("used", Other),
    ("count", Other),
    ("verified", Other),
    ("synced", Other),
    ("transports", Other),
    ("rp", Other),
    ("copied", Other),
];

const TOKEN: &[(&str, Shape)] = &[
    ("id", Other),
    ("hash", Other),
    ("name", Other),
    ("hosts", Other),
    ("created", Other),
    ("expires", Other),
    ("used", Other),
];

const MAILED: &[(&str, Shape)] = &[("digest", Other), ("expires", Other)];

const WRONG_CODES: &[(&str, Shape)] = &[("count", Other), ("last", Other)];

const DEVICE: &[(&str, Shape)] = &[
    ("id", Other),
    ("created", Other),
    ("last_used", Other),
    ("agent", Other),
    ("wrong_codes", Fields(WRONG_CODES)),
];

/// A field that looks like a slip.
pub(super) struct Slip {
    /// Line and column of the first quote of its name, in characters from 1.
    pub(super) place: (usize, usize),
    found: String,
    /// The field that may be meant; `None` if it is the value that cannot be read.
    pub(super) meant: Option<&'static str>,
}

impl fmt::Display for Slip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ((line, column), found) = (self.place, &self.found);
        write!(f, "line {line}, column {column}: ")?;
        match self.meant {
            Some(meant) => write!(f, "{found:?} is no field that is read; is {meant:?} meant?"),
            None => write!(
                f,
                "{found:?} is no time such as 2026-11-22T12:00:00Z; it is not shown"
            ),
        }
    }
}

/// What there is to say about a users file that was read, given its text, the accounts in it, and
/// the names of its other fields.
pub(super) fn said_of_file<'a>(
    text: &[u8],
    accounts: &Accounts,
    mut others: impl Iterator<Item = &'a String>,
) -> Vec<String> {
    let mut known = Suspicion::default();
    let suspicious = others.any(|name| known.is_aroused(name))
        || accounts.iter().any(|account| {
            account.created.is_unreadable()
                || unknown(account)
                    .flat_map(|fields| fields.keys())
                    .any(|name| known.is_aroused(name))
        });
    if !suspicious {
        return Vec::new();
    }
    let (slips, more) = in_text(text);
    let mut said: Vec<String> = slips.iter().map(ToString::to_string).collect();
    if more > 0 {
        said.push(format!("there are {more} more slips like these"));
    }
    said
}

/// The first slips in a text, as far as it is JSON, and how many more there are.
pub(super) fn in_text(text: &[u8]) -> (Vec<Slip>, usize) {
    let mut slips = reader::slips(text);
    let more = slips.len().saturating_sub(MAX_TOLD);
    slips.truncate(MAX_TOLD);
    let place = |(at, found, meant)| Slip {
        place: json::place_in(text, at),
        found,
        meant,
    };
    (slips.into_iter().map(place).collect(), more)
}

/// The fields of an account that this program does not know, at every depth.
fn unknown(account: &Account) -> impl Iterator<Item = &Unknown> {
    let devices = account.devices.iter();
    let own = [&account.other, &account.wrong_codes.other];
    own.into_iter()
        .chain(account.totp.iter().map(|totp| &totp.other))
        .chain(account.passkeys.iter().map(|passkey| &passkey.other))
        .chain(devices.flat_map(|device| [&device.other, &device.wrong_codes.other]))
        .chain(account.mailed_passwords.iter().map(|mailed| &mailed.other))
        .chain(account.shown_again.iter().map(|shown| &shown.other))
        .chain(account.mails.iter().map(|mail| &mail.other))
        .chain(account.networks.iter().map(|network| &network.other))
}

/// Whether a name is close to that of any field, wherever the field belongs. Many accounts have the
/// same unknown fields, so each name is looked at once.
#[derive(Default)]
struct Suspicion<'a>(HashMap<&'a str, bool>);

impl<'a> Suspicion<'a> {
    fn is_aroused(&mut self, name: &'a str) -> bool {
        *self
            .0
            .entry(name)
            .or_insert_with(|| is_near_any(name, FILE) || is_near_any(name, ACCOUNT))
    }
}

fn is_near_any(name: &str, fields: &[(&str, Shape)]) -> bool {
    fields.iter().any(|(known, shape)| {
        let within = match shape {
            Fields(fields) => is_near_any(name, fields),
            _ => false,
        };
        within || (name != *known && is_near(name, known))
    })
}

/// Whether one may be a slip for the other: one letter, or two of a longer name, is left out, put
/// in, replaced or swapped. Upper case, in whatever part of the name, counts as one slip.
fn is_near(name: &str, known: &str) -> bool {
    let most = if known.len() <= SHORT { 1 } else { 2 };
    if name.chars().count().abs_diff(known.chars().count()) > most {
        return false;
    }
    let in_other_case = usize::from(name.chars().any(char::is_uppercase));
    distance(&name.to_lowercase(), known) + in_other_case <= most
}

/// How many letters have to be put in, left out, replaced or swapped with their neighbour.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let exchanged = above[j] + usize::from(a != b);
            let mut least = exchanged.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && one[i - 1] == *b && *a == other[j - 1] {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[other.len()]
}
