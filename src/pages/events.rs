//! What happened to an account, as a list for people.

use super::account::{ago, exact};
use super::fill::{Html, Values, fill};

/// One thing that happened.
#[derive(Clone)]
pub struct EventView {
    /// Seconds since 1970.
    pub at: u64,
    /// The event's name and its result in the file.
    pub event: String,
    pub result: String,
    /// By what a login passed its second step.
    pub with: Option<String>,
    pub by: By,
    pub address: Option<String>,
    /// As [`agent_label`](super::agent_label) puts it.
    pub agent: Option<String>,
}

/// Who did it.
#[derive(Clone)]
pub enum By {
    Owner,
    Administrator,
    Named(String),
    Operator,
}

/// The folded list, if anything has happened, with some words above it.
pub(super) fn list(events: &[EventView], lead: &str, now: u64) -> Option<Html> {
    let one = |event: &EventView| {
        let from = [event.agent.as_deref(), event.address.as_deref()];
        let from: Vec<&str> = from.into_iter().flatten().collect();
        let from = match from.is_empty() {
            true => String::new(),
            false => format!("{}, ", from.join(", ")),
        };
        let by = match &event.by {
            By::Owner => String::new(),
            By::Administrator => ", by an administrator".to_owned(),
            By::Named(name) => format!(", by {name}"),
            By::Operator => ", by the people who run this site".to_owned(),
        };
        let values = Values::new()
            .text("what", words(event))
            .text("by", by)
            .text("from", from)
            .text("when", ago(event.at, now))
            .text("exact", exact(event.at));
        fill(include_str!("../../static/parts/event.html"), &values)
    };
    let values = Values::new()
        .text("lead", lead)
        .html("events", events.iter().map(one));
    let list = fill(include_str!("../../static/parts/events.html"), &values);
    (!events.is_empty()).then_some(list)
}

/// What happened, in words of people.
fn words(event: &EventView) -> &'static str {
    match event.event.as_str() {
        "account_added" | "account_imported" => "The account was made",
        "account_disabled" => "The account was disabled",
        "account_enabled" => "The account was enabled again",
        "account_renamed" => "The username was changed",
        "authenticator_changed" => "A new authenticator was set up",
        "email_changed" => "The e-mail address was changed",
        "email_confirmed" => "The e-mail address was confirmed",
        "groups_changed" => "The groups were changed",
        "logged_in" => match event.with.as_deref() {
            Some("recovery_code") => "Logged in with a recovery code",
            Some("passkey" | "passkey_alone") => "Logged in with a passkey",
            Some("enrolment") => "Logged in, and set up an authenticator",
            _ => "Logged in",
        },
        "logged_out" => "Logged out",
        "new_browser" => "A mail about a login from a new browser was sent",
        "passkey_added" => "A passkey was added",
        "passkey_copied" => "A passkey may have been copied",
        "passkey_removed" => "A passkey was removed",
        "password_changed" => "The password was changed",
        "password_mailed" => "A new password was asked for and mailed",
        "recovery_codes_made" => "New recovery codes were made",
        "refused" => refusal(&event.result),
        "registered" => "The account was made",
        "second_factor_reset" => "The second step was reset",
        "sessions_ended" => "Sessions were ended",
        "token_made" => "An access token was made",
        "token_removed" => "An access token was removed",
        _ => "Something else was changed",
    }
}

fn refusal(result: &str) -> &'static str {
    match result {
        "wrong_code" => "A wrong code was refused",
        "wrong_passkey" => "A passkey was refused",
        "wrong_credentials" | "wrong_password" => "A wrong password was refused",
        "not_saved" | "unknown" | "internal" => "Something failed on our side",
        _ => "Something was refused",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(event: &str, with: Option<&str>) -> EventView {
        EventView {
            at: 0,
            event: event.to_owned(),
            result: "ok".to_owned(),
            with: with.map(str::to_owned),
            by: By::Owner,
            address: None,
            agent: None,
        }
    }

    #[test]
    fn people_read_words_and_no_names_of_the_file() {
        for event in ["logged_in", "refused", "new_browser", "of_a_later_version"] {
            let said = words(&view(event, None));
            assert!(!said.contains('_') && said.contains(' ') || said == "Logged in");
        }
        let said = words(&view("logged_in", Some("recovery_code")));
        assert_eq!(said, "Logged in with a recovery code");
    }

    #[test]
    fn nothing_is_shown_where_nothing_happened() {
        assert!(list(&[], "", 0).is_none());
        assert!(list(&[view("logged_in", None)], "", 0).is_some());
    }
}
