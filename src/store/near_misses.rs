//! Slips in the names of fields: `disbled` would be kept as somebody else's field, and the account
//! stay open, without a word.
//!
//! The reader does not know where a field stood, so the text is gone through once more, but only if
//! there is something to look for.

use std::collections::HashMap;
use std::fmt;

use crate::accounts::kept::{Created, Unknown};
use crate::accounts::{Account, Accounts};
use crate::store::json;

/// Deepest nesting that is gone into; serde_json's own.
const MAX_DEPTH: usize = 128;

/// Most slips that are told one by one: one made by a script may be in every account.
const MAX_TOLD: usize = 50;

/// Longest name from which one letter may differ; two in longer ones.
const SHORT: usize = 5;

/// What an object holds, so far as it is known here.
#[derive(Clone, Copy)]
enum Shape {
    /// Objects or lists of objects, by the names of the fields they are in.
    Fields(&'static [(&'static str, Shape)]),
    /// The same for each name, which is anybody's choice.
    Names(&'static [(&'static str, Shape)]),
    /// When an account was made.
    Created,
    Other,
}

use Shape::{Fields, Names, Other};

const FILE: &[(&str, Shape)] = &[("version", Other), ("users", Names(ACCOUNT))];

const ACCOUNT: &[(&str, Shape)] = &[
    ("email", Other),
    ("password", Other),
    ("created", Shape::Created),
    ("groups", Other),
    ("totp", Fields(&[("secret", Other), ("last_step", Other)])),
    ("recovery_codes", Other),
    ("disabled", Other),
    ("generation", Other),
    ("kept_session", Other),
    ("mailed_passwords", Fields(MAILED)),
    // Of an earlier version.
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
    /// The field that may be meant; none if it is the value that cannot be read.
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

/// What there is to say of a users file that was read: its text, the accounts in it, and the names
/// of its other fields.
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
    let mut reader = Reader {
        text,
        at: 0,
        depth: 0,
        slips: Vec::new(),
    };
    // Where it is no JSON, another has said so.
    let _ = reader.value(Fields(FILE));
    let mut slips = reader.slips;
    slips.sort_by_key(|(at, ..)| *at);
    let more = slips.len().saturating_sub(MAX_TOLD);
    slips.truncate(MAX_TOLD);
    let place = |(at, found, meant)| Slip {
        place: json::place_in(text, at),
        found,
        meant,
    };
    (slips.into_iter().map(place).collect(), more)
}

/// The fields of an account that nobody knows, at every depth.
fn unknown(account: &Account) -> impl Iterator<Item = &Unknown> {
    let devices = account.devices.iter();
    let own = [&account.other, &account.wrong_codes.other];
    own.into_iter()
        .chain(account.totp.iter().map(|totp| &totp.other))
        .chain(devices.flat_map(|device| [&device.other, &device.wrong_codes.other]))
        .chain(account.mailed_passwords.iter().map(|mailed| &mailed.other))
        .chain(account.mails.iter().map(|mail| &mail.other))
        .chain(account.networks.iter().map(|network| &network.other))
}

/// Whether a name is near to any field at all, wherever that belongs. Many accounts have the same
/// unknown fields, so each is looked at once.
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

/// Whether one may be a slip for the other: in one letter, or two of a longer name, that are left
/// out, put in, exchanged or swapped. Written in the other case, whatever part of it, is one slip.
fn is_near(name: &str, known: &str) -> bool {
    let most = if known.len() <= SHORT { 1 } else { 2 };
    if name.chars().count().abs_diff(known.chars().count()) > most {
        return false;
    }
    let in_other_case = usize::from(name.chars().any(char::is_uppercase));
    distance(&name.to_lowercase(), known) + in_other_case <= most
}

/// How many letters have to be put in, left out, exchanged or swapped with their neighbour.
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

/// Goes through a text and notes where names of fields stand.
struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
    slips: Vec<(usize, String, Option<&'static str>)>,
}

impl Reader<'_> {
    /// Passes a value; none where the text is no JSON, or too deep.
    fn value(&mut self, shape: Shape) -> Option<()> {
        self.blanks();
        match self.text.get(self.at)? {
            b'{' => self.nested(shape, Self::object),
            b'[' => self.nested(shape, Self::list),
            b'"' => self.string().map(|_| ()),
            _ => {
                let ends = |byte: &u8| byte.is_ascii_whitespace() || b",]}".contains(byte);
                let rest = self.text.get(self.at..)?;
                self.at += rest.iter().position(ends).unwrap_or(rest.len());
                Some(())
            }
        }
    }

    fn nested(&mut self, shape: Shape, pass: fn(&mut Self, Shape) -> Option<()>) -> Option<()> {
        if self.depth >= MAX_DEPTH {
            return None;
        }
        self.depth += 1;
        self.at += 1;
        pass(self, shape)?;
        self.depth -= 1;
        Some(())
    }

    fn list(&mut self, shape: Shape) -> Option<()> {
        loop {
            self.blanks();
            match self.text.get(self.at)? {
                b']' => break,
                b',' => self.at += 1,
                // Of the objects in it each has that shape.
                _ => self.value(shape)?,
            }
        }
        self.at += 1;
        Some(())
    }

    fn object(&mut self, shape: Shape) -> Option<()> {
        let mut names = Vec::new();
        loop {
            self.blanks();
            match self.text.get(self.at)? {
                b'}' => break,
                b',' => self.at += 1,
                b'"' => {
                    let at = self.at;
                    let name = self.name()?;
                    self.member(shape, at, &name)?;
                    names.push((at, name));
                }
                _ => return None,
            }
        }
        self.at += 1;
        if let Fields(known) = shape {
            self.compare(names, known);
        }
        Some(())
    }

    /// Passes what belongs to a name.
    fn member(&mut self, shape: Shape, at: usize, name: &str) -> Option<()> {
        self.blanks();
        self.text.get(self.at).filter(|byte| **byte == b':')?;
        self.at += 1;
        self.blanks();
        let begin = self.at;
        let inner = match shape {
            Names(fields) => Fields(fields),
            Fields(known) => known
                .iter()
                .find(|(field, _)| *field == name)
                .map_or(Other, |(_, shape)| *shape),
            _ => Other,
        };
        self.value(inner)?;
        if let Shape::Created = inner {
            let value = serde_json::from_slice::<Created>(self.text.get(begin..self.at)?);
            if value.is_ok_and(|created| created.is_unreadable()) {
                self.slips.push((at, name.to_owned(), None));
            }
        }
        Some(())
    }

    /// Notes which of an object's names may be meant for one that is not there.
    fn compare(&mut self, names: Vec<(usize, String)>, known: &'static [(&'static str, Shape)]) {
        let is_there = |field: &str| names.iter().any(|(_, name)| name == field);
        let absent: Vec<&'static str> = known
            .iter()
            .map(|(field, _)| *field)
            .filter(|field| !is_there(field))
            .collect();
        let mut slips = Vec::new();
        for (at, name) in names {
            if known.iter().any(|(field, _)| *field == name) {
                continue;
            }
            let near = absent.iter().filter(|field| is_near(&name, field));
            if let Some(meant) = near.min_by_key(|field| distance(&name.to_lowercase(), field)) {
                slips.push((at, name, Some(*meant)));
            }
        }
        self.slips.append(&mut slips);
    }

    fn name(&mut self) -> Option<String> {
        let begin = self.at;
        self.string()?;
        serde_json::from_slice(self.text.get(begin..self.at)?).ok()
    }

    /// Passes a string.
    fn string(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            match self.text.get(self.at)? {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        Some(())
    }

    fn blanks(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::accounts::devices::Device;
    use crate::accounts::mailed::{Asked, MailedPassword};
    use crate::accounts::networks::KnownNetwork;
    use crate::accounts::password::PasswordHash;
    use crate::accounts::token::Digest;
    use crate::accounts::totp::Secret;
    use crate::accounts::{Totp, WrongCodes};
    use crate::clock::Timestamp;
    use crate::origin::Origin;

    fn said(text: &str) -> Vec<String> {
        in_text(text.as_bytes())
            .0
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    /// What is said of an account with these fields, which begin in column 15.
    fn said_of(fields: &str) -> Vec<String> {
        said(&format!("{{\"users\": {{\n  \"alice\": {{{fields}}}}}}}"))
    }

    #[test]
    fn a_name_one_or_two_letters_off_is_a_slip() {
        for (name, meant) in [
            ("disbled", "disabled"),
            ("disabeld", "disabled"),
            ("disabledd", "disabled"),
            ("dissabledd", "disabled"),
            ("disapled", "disabled"),
            ("diasbeld", "disabled"),
            ("Disabled", "disabled"),
            ("DISABLED", "disabled"),
            ("dizabled ", "disabled"),
            ("group", "groups"),
            ("Gropus", "groups"),
            ("totpp", "totp"),
            ("topt", "totp"),
            ("otp", "totp"),
            ("TOTP", "totp"),
            ("device", "devices"),
            ("create", "created"),
            ("recovery-code", "recovery_codes"),
            ("dis\\u0062led", "disabled"),
        ] {
            let said = said_of(&format!("\"{name}\": 1"));
            let name = name.replace("\\u0062", "b");
            let expected = format!(
                "line 2, column 13: {name:?} is no field that is read; is {meant:?} meant?"
            );
            assert_eq!(said, [expected]);
        }
    }

    #[test]
    fn others_own_fields_are_no_slips() {
        for name in [
            "pager",
            "note",
            "label",
            "dsbld",
            "able",
            "tptp1",
            "tottpp",
            "",
            "d",
            "gr",
            "user",
            "comment",
            "phone",
            "ID",
            "äöü",
            "created_by",
            "disabled_by",
        ] {
            assert_eq!(said_of(&format!("\"{name}\": 1")), [""; 0], "{name}");
        }
        // What it is near to is there as well.
        assert_eq!(said_of("\"disabled\": true, \"disbled\": 1"), [""; 0]);
        assert_eq!(said_of("\"groups\": [], \"group\": 1"), [""; 0]);
        // Nobody's field within somebody else's object, nor a name or a value.
        assert_eq!(
            said_of("\"mine\": {\"disbled\": [{\"totpp\": 1}]}"),
            [""; 0]
        );
        assert_eq!(
            said("{\"users\": {\"disbled\": {}, \"totpp\": {}}}"),
            [""; 0]
        );
        assert_eq!(said_of("\"groups\": [\"disbled\"]"), [""; 0]);
    }

    #[test]
    fn a_slip_is_found_in_every_object_that_is_read() {
        for (fields, name, meant) in [
            (
                "\"totp\": {\"secret\": \"A\", \"laststep\": 1}",
                "laststep",
                "last_step",
            ),
            (
                "\"wrong_codes\": {\"cuont\": 1, \"last\": \"\"}",
                "cuont",
                "count",
            ),
            (
                "\"devices\": [{\"id\": 1}, {\"id\": 2, \"craeted\": \"\"}]",
                "craeted",
                "created",
            ),
            (
                "\"devices\": [{\"id\": 1, \"wrong_code\": {}}]",
                "wrong_code",
                "wrong_codes",
            ),
            (
                "\"devices\": [{\"wrong_codes\": {\"lst\": 1}}]",
                "lst",
                "last",
            ),
            (
                "\"mailed_passwords\": [{\"digst\": \"\"}]",
                "digst",
                "digest",
            ),
            (
                "\"mails\": [{\"at\": \"\", \"netwrok\": \"\"}]",
                "netwrok",
                "network",
            ),
            (
                "\"networks\": [{\"network\": \"\", \"lastlogin\": 1}]",
                "lastlogin",
                "last_login",
            ),
        ] {
            let column = 13 + fields.find(&format!("{name:?}")).unwrap();
            let expected = format!(
                "line 2, column {column}: {name:?} is no field that is read; is {meant:?} meant?"
            );
            assert_eq!(said_of(fields), [expected], "{fields}");
        }
        assert_eq!(
            said("{\"version\": 1,\n\"é\": 1, \"usres\": {}}"),
            ["line 2, column 9: \"usres\" is no field that is read; is \"users\" meant?"]
        );
    }

    #[test]
    fn a_time_that_cannot_be_read_is_a_slip() {
        assert_eq!(
            said_of("\"created\": \"yesterday\""),
            [
                "line 2, column 13: \"created\" is no time such as 2026-11-22T12:00:00Z; it is not shown"
            ]
        );
        assert_eq!(said_of("\"created\": null"), [""; 0]);
        assert_eq!(said_of("\"created\": \"2026-11-22T12:00:00Z\""), [""; 0]);
    }

    #[test]
    fn of_many_slips_the_first_are_told_and_the_others_counted() {
        let users: Vec<String> = (0..10_000)
            .map(|n| format!("\"user{n}\": {{\"disbled\": 1}}"))
            .collect();
        let text = format!("{{\"users\": {{{}}}}}", users.join(","));

        let (slips, more) = in_text(text.as_bytes());

        assert_eq!((slips.len(), more), (50, 9_950));
    }

    #[test]
    fn no_text_is_too_odd() {
        for text in [
            "",
            "{",
            "{\"",
            "{\"\\",
            "{\"users\"",
            "{\"users\":",
            "{\"users\": {\"a\": {\"totpp\"",
            "[",
            "[[",
            "[,]",
            "{,}",
            "{\"users\": [{]}",
            "nul",
            "1.5e",
            "}",
            ":",
            "\"",
        ] {
            let _ = in_text(text.as_bytes());
        }
        let deep = "[".repeat(1_000_000);
        assert!(in_text(deep.as_bytes()).0.is_empty());
        let deep = deep.replace('[', "{\"users\":");
        assert!(in_text(deep.as_bytes()).0.is_empty());
    }

    /// An account with everything in it. Whoever adds a field to one is led here.
    fn full() -> Account {
        let hash = "$pbkdf2-sha256$i=1,l=32$c2FsdA$Eg+2z/z4syxD5yJSVsT4N6hlSMkszDVICAWYfLcL4Xs";
        let digest = Digest::of("");
        let wrong_codes = WrongCodes {
            count: 1,
            last: std::time::Duration::ZERO,
            other: Unknown::default(),
        };
        let network = Origin::of([192, 0, 2, 1].into());
        Account {
            username: "alice".to_owned(),
            email: "a@b.c".to_owned(),
            password: PasswordHash::parse(hash).ok().unwrap(),
            created: Created::At(Timestamp(1)),
            groups: Vec::new(),
            totp: Some(Totp {
                secret: Secret::new(),
                last_step: 1,
                other: Unknown::default(),
            }),
            recovery_codes: vec![digest],
            disabled: false,
            generation: 1,
            kept_session: Some(digest),
            mailed_passwords: vec![MailedPassword {
                digest,
                expires: Timestamp(1),
                other: Unknown::default(),
            }],
            mails: vec![Asked {
                at: Timestamp(1),
                network: Some(network),
                other: Unknown::default(),
            }],
            wrong_codes: wrong_codes.clone(),
            devices: vec![Device {
                id: digest,
                created: Timestamp(1),
                last_used: Some(Timestamp(1)),
                agent: "curl".to_owned(),
                wrong_codes,
                other: Unknown::default(),
            }],
            networks: vec![KnownNetwork {
                network,
                last_login: Timestamp(1),
                other: Unknown::default(),
            }],
            registered: true,
            seal: Some(String::new()),
            other: Unknown::default(),
        }
    }

    #[test]
    fn every_field_an_account_is_written_with_is_known_here() {
        let text = json!({ "version": 1, "users": { "alice": full() } }).to_string();
        fn check(value: &serde_json::Value, shape: Shape) {
            let entries = value.as_object().into_iter().flatten();
            match shape {
                Names(fields) => entries.for_each(|(_, value)| check(value, Fields(fields))),
                Fields(fields) => {
                    for (name, value) in entries {
                        let known = fields.iter().find(|(known, _)| known == name);
                        check(
                            value,
                            known.unwrap_or_else(|| panic!("{name} is not known")).1,
                        );
                    }
                    for value in value.as_array().into_iter().flatten() {
                        check(value, shape);
                    }
                }
                _ => assert!(!value.is_object(), "{value}"),
            }
        }
        check(&serde_json::from_str(&text).unwrap(), Fields(FILE));
    }
}
