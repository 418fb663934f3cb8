//! What happened to an account, as its owner and administrators are shown it.

use serde_json::Value;

use crate::accounts::Account;
use crate::events::{OPERATOR, Seen};
use crate::handlers::App;
use crate::pages::agent_label;
use crate::pages::events::{By, EventView};

/// Who is shown the events.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Eyes {
    /// Owners do not learn which administrator acted, and from where.
    Owner,
    /// Everything is there for them.
    Administrator,
}

/// The last events of an account, the newest first.
pub(super) fn recent(app: &App, account: &Account) -> Vec<Seen> {
    let id = account.id.as_ref();
    id.map(|id| app.events.recent(id)).unwrap_or_default()
}

/// The events as programs are told them.
pub(super) fn as_json(events: &[Seen], eyes: Eyes) -> Vec<Value> {
    let one = |seen| seen_by(seen, eyes).told();
    events.iter().map(one).collect()
}

/// The events as a page shows them.
pub(super) fn views(events: &[Seen], eyes: Eyes) -> Vec<EventView> {
    let one = |seen: &Seen| {
        let seen = seen_by(seen, eyes);
        EventView {
            at: seen.at(),
            by: match seen.by.as_deref() {
                None => By::Owner,
                Some(OPERATOR) => By::Operator,
                Some(name) if eyes == Eyes::Administrator => By::Named(name.to_owned()),
                Some(_) => By::Administrator,
            },
            address: seen.address,
            agent: seen.agent.as_deref().map(agent_label),
            event: seen.event,
            result: seen.result,
            with: seen.with,
        }
    };
    events.iter().map(one).collect()
}

/// An event without what these eyes are not to see.
fn seen_by(seen: &Seen, eyes: Eyes) -> Seen {
    let mut seen = seen.clone();
    if eyes == Eyes::Owner && seen.by.is_some() {
        seen.by = seen.by.map(|by| match by.as_str() {
            OPERATOR => by,
            _ => "an administrator".to_owned(),
        });
        (seen.address, seen.agent) = (None, None);
    }
    seen
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seen(by: &str) -> Seen {
        let line = json!({
            "time": "2026-11-22T12:00:00.000Z",
            "event": "groups_changed",
            "user": "alice",
            "id": "a",
            "by": by,
            "address": "192.0.2.1",
            "agent": "curl/8",
            "result": "ok",
        });
        Seen::parse(line.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn owners_are_not_told_which_administrator_it_was_nor_where_they_sat() {
        let shown = as_json(&[seen("root"), seen(OPERATOR)], Eyes::Owner);

        for (shown, by) in shown.iter().zip(["an administrator", "the operator"]) {
            assert_eq!(shown["by"], by);
            assert_eq!(
                (&shown["address"], &shown["agent"]),
                (&Value::Null, &Value::Null)
            );
        }
        let views = views(&[seen("root")], Eyes::Owner);
        assert!(views[0].address.is_none() && views[0].agent.is_none());
        assert!(matches!(views[0].by, By::Administrator));
    }
}
