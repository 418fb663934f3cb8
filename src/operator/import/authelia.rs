//! Authelia's `users_database.yml`: below `users` a name each, with its fields.

use super::yaml::{Node, What};
use super::{Bad, Entry, Found, NotOfFormat, yaml};

const HINT: &str = "it is Authelia's users_database.yml, with the names below users:";

pub(super) fn read(text: &str) -> Result<Found, NotOfFormat> {
    let not_of_format =
        |what: String| NotOfFormat::new(format!("it is not of Authelia: {what}"), HINT);
    let document = yaml::read(text).map_err(not_of_format)?;
    let fields = document.map().unwrap_or_default();
    let users = fields.iter().find(|(key, _)| key.text() == Some("users"));
    let Some((_, users)) = users else {
        return Err(not_of_format("there is no users:".to_owned()));
    };
    match users.map() {
        Some(users) => Ok(users
            .iter()
            .map(|(name, fields)| entry(name, fields))
            .collect()),
        None if users.is_nothing() => Ok(Vec::new()),
        None => Err(not_of_format("users: has no names below it".to_owned())),
    }
}

fn entry(name: &Node, fields: &Node) -> Result<Entry, Bad> {
    let username = name.text().unwrap_or_default();
    let bad = |why: String| Bad::new(name.line, username, why);
    let fields = fields
        .map()
        .ok_or_else(|| bad("it has no fields".to_owned()))?;
    let mut entry = Entry {
        line: name.line,
        username: username.to_owned(),
        is_vouched_for: true,
        ..Entry::default()
    };
    let mut seen: Vec<&str> = Vec::new();
    for (field, value) in fields {
        let field = field.text().unwrap_or_default();
        if seen.contains(&field) {
            return Err(bad(format!("{field} is there twice")));
        }
        seen.push(field);
        let odd = || bad(format!("{field} is not what it should be"));
        match field {
            "password" => entry.hash = text_or_nothing(value).ok_or_else(odd)?,
            "email" => entry.email = text_or_nothing(value).ok_or_else(odd)?,
            "groups" => entry.groups = texts(value).ok_or_else(odd)?,
            "disabled" => entry.disabled = truth(value).ok_or_else(odd)?,
            _ => {}
        }
    }
    Ok(entry)
}

fn text_or_nothing(value: &Node) -> Option<Option<String>> {
    match &value.what {
        What::Nothing => Some(None),
        What::Text(text) => Some(Some(text.clone())),
        _ => None,
    }
}

fn texts(value: &Node) -> Option<Vec<String>> {
    match &value.what {
        What::Nothing => Some(Vec::new()),
        What::List(items) => items
            .iter()
            .map(|item| item.text().map(str::to_owned))
            .collect(),
        _ => None,
    }
}

fn truth(value: &Node) -> Option<bool> {
    match &value.what {
        What::Nothing => Some(false),
        What::Text(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Some(true),
            "false" | "no" | "off" => Some(false),
            _ => None,
        },
        _ => None,
    }
}
