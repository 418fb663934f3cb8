//! What `manage.py dumpdata auth` of Django prints: a JSON array of objects of all models.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::clock::Timestamp;

use super::{Bad, Entry, Found, NotOfFormat};

const HINT: &str = "have Django write it: manage.py dumpdata auth --indent 2 > users.json";

/// An object of any model.
#[derive(Deserialize)]
struct Object {
    model: String,
    #[serde(default)]
    pk: Value,
    #[serde(default)]
    fields: Value,
}

/// The fields of a user; all others say nothing here.
#[derive(Deserialize)]
struct User {
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    password: String,
    #[serde(default = "yes")]
    is_active: bool,
    #[serde(default)]
    date_joined: Option<String>,
    #[serde(default)]
    groups: Vec<Value>,
}

fn yes() -> bool {
    true
}

pub(super) fn read(text: &str) -> Result<Found, NotOfFormat> {
    let not_of_format = |error: serde_json::Error| {
        NotOfFormat::new(format!("it is not what Django prints: {error}"), HINT)
    };
    let parts: Vec<&RawValue> = serde_json::from_str(text).map_err(not_of_format)?;
    let (mut groups, mut users) = (HashMap::new(), Vec::new());
    let mut lines = Lines {
        text,
        at: 0,
        before: 0,
    };
    for part in parts {
        let line = lines.of(part);
        let object: Object = serde_json::from_str(part.get()).map_err(|error| {
            NotOfFormat::new(
                format!("line {line} is not what Django prints: {error}"),
                HINT,
            )
        })?;
        if object.model.ends_with(".user") {
            users.push((line, object.fields));
        } else if object.model.ends_with(".group")
            && let Some(name) = object.fields["name"].as_str()
        {
            groups.insert(object.pk.to_string(), name.to_owned());
        }
    }
    Ok(users
        .into_iter()
        .map(|(line, fields)| entry(line, fields, &groups))
        .collect())
}

/// Counts lines on and on, since the parts come in their order.
struct Lines<'a> {
    text: &'a str,
    at: usize,
    before: u64,
}

impl Lines<'_> {
    /// The line in which a part of the text begins.
    fn of(&mut self, part: &RawValue) -> u64 {
        let at = part.get().as_ptr().addr() - self.text.as_ptr().addr();
        let between = self.text.get(self.at..at).unwrap_or_default();
        self.before += super::line_at(between, between.len()) - 1;
        self.at = at;
        self.before + 1
    }
}

fn entry(line: u64, fields: Value, known: &HashMap<String, String>) -> Result<Entry, Bad> {
    let username = fields["username"].as_str().unwrap_or_default().to_owned();
    let bad = |why: String| Bad::new(line, &username, why);
    let user: User = serde_json::from_value(fields).map_err(|error| bad(error.to_string()))?;
    let created = user.date_joined.as_deref().map(|joined| {
        time(joined).ok_or_else(|| bad(format!("date_joined is {joined:?}, which is no time")))
    });
    let group = |group: &Value| {
        let natural = group.get(0).and_then(Value::as_str);
        let name = natural.or_else(|| known.get(&group.to_string()).map(String::as_str));
        let name = name.map(str::to_owned);
        name.ok_or_else(|| bad(format!("the file has no group {group}")))
    };
    let groups = user.groups.iter().map(group).collect::<Result<_, _>>()?;
    let created = created.transpose()?;
    // Django's mark of an account that nobody can log in to with a password.
    let hash = Some(user.password).filter(|hash| !hash.starts_with('!'));
    Ok(Entry {
        line,
        email: user.email,
        is_vouched_for: false,
        groups,
        hash,
        disabled: !user.is_active,
        created,
        username,
    })
}

/// A time as Django writes it: with a zone, or without one if it knows none.
fn time(text: &str) -> Option<Timestamp> {
    let parse = |text: &str| OffsetDateTime::parse(text, &Rfc3339).ok();
    let moment = parse(text).or_else(|| parse(&format!("{text}Z")))?;
    u64::try_from(moment.unix_timestamp()).ok().map(Timestamp)
}
