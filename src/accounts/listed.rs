//! What those who answer for all accounts are told of each of them: never a hash, key or token.

use std::cmp::Reverse;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use crate::accounts::ids::AccountId;
use crate::accounts::session::{Limits, Session};
use crate::accounts::{Account, Accounts, names};
use crate::clock::Timestamp;
use crate::terminal::printable;

/// One account in a list.
#[derive(Serialize)]
pub struct Listed<'a> {
    pub username: &'a str,
    pub email: Option<&'a str>,
    pub email_proven: bool,
    pub groups: &'a [String],
    pub state: State,
    /// Whether a second factor is enrolled.
    pub second_factor: bool,
    /// `None` if the file does not say.
    pub created: Option<Timestamp>,
    pub last_login: Option<Timestamp>,
}

/// Whether somebody can log in to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Active,
    Disabled,
    /// Made without a password, and none has been chosen yet.
    Invited,
}

impl State {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Invited => "invited",
        }
    }
}

impl<'a> From<&'a Account> for Listed<'a> {
    fn from(account: &'a Account) -> Self {
        Self {
            username: &account.username,
            email: account.email.as_deref(),
            email_proven: account.email_proven,
            groups: &account.groups,
            state: match &account.password {
                _ if account.disabled => State::Disabled,
                Some(_) => State::Active,
                None => State::Invited,
            },
            second_factor: account.has_second_factor(),
            created: account.created.at(),
            last_login: account.last_login,
        }
    }
}

/// The names of [`Listed::fields`].
pub const FIELDS: [&str; 6] = [
    "username",
    "email",
    "groups",
    "state",
    "second_factor",
    "last_login",
];

impl Listed<'_> {
    /// The fields of a list as text, in their order; `-` for what is empty. None has a character
    /// that a terminal would obey or that ends a field, which an operator may have written into a
    /// group by hand.
    pub fn fields(&self) -> [String; 6] {
        let or_dash = |text: String| match text.is_empty() {
            true => "-".to_owned(),
            false => text,
        };
        let last_login = self.last_login.map(|moment| moment.to_string());
        [
            self.username.to_owned(),
            or_dash(self.email.unwrap_or_default().to_owned()),
            or_dash(self.groups.join(",")),
            self.state.as_str().to_owned(),
            if self.second_factor { "yes" } else { "no" }.to_owned(),
            or_dash(last_login.unwrap_or_default()),
        ]
        .map(|field| printable(&field))
    }
}

/// All that is told of one account, but what happened to it: to programs.
pub fn in_full(account: &Account, sessions: &[Arc<Session>], limits: Limits) -> Value {
    // Nothing in it can fail to be written as JSON.
    let mut told = serde_json::to_value(Listed::from(account)).unwrap_or_default();
    told["id"] = json!(account.id);
    told["recovery_codes_left"] = json!(account.recovery_codes.len());
    let session = |session: &Arc<Session>| {
        json!({
            "id": session.id.short(),
            "created": session.created,
            "last_seen": session.last_seen(),
            "address": session.address,
            "agent": session.agent,
            "remembered": session.stays_until(limits).is_some(),
        })
    };
    told["sessions"] = sessions.iter().map(session).collect();
    told
}

/// Those of these sessions of an account that are not over, the most recent first.
pub fn open_sessions(
    mut sessions: Vec<Arc<Session>>,
    account: &Account,
    limits: Limits,
    now: Timestamp,
) -> Vec<Arc<Session>> {
    sessions.retain(|session| session.is_of(account) && !account.disabled);
    sessions.retain(|session| !session.is_over(limits, now));
    sessions.sort_by_key(|session| Reverse(session.last_seen()));
    sessions
}

/// An invitation in a list.
#[derive(Serialize)]
pub struct ListedInvitation<'a> {
    /// By which it can be ended.
    pub id: String,
    pub email: Option<&'a str>,
    pub groups: &'a [String],
    pub by: &'a str,
    pub expires: Timestamp,
    /// The account that it is for, if that was made already.
    #[serde(skip)]
    pub account: Option<&'a AccountId>,
}

/// Most accounts on one page of the list.
pub const PER_PAGE: usize = 50;

/// One page of the accounts that were found.
pub struct Found<'a> {
    /// By name without regard to case.
    pub people: Vec<&'a Account>,
    /// How many were found in all.
    pub total: usize,
}

impl Found<'_> {
    /// How many pages there are, at least one.
    pub fn pages(&self) -> usize {
        self.total.div_ceil(PER_PAGE).max(1)
    }
}

impl Accounts {
    /// One page, counted from 1, of the accounts with `sought` in their name or address, whatever
    /// its case, or in a group of that name; of all, if it is empty. A page beyond the last has
    /// nobody.
    pub fn found(&self, sought: &str, page: usize) -> Found<'_> {
        let part = names::key(sought);
        let is_meant = |name: &str, account: &Account| {
            let email = account.email.as_deref().unwrap_or_default();
            name.contains(part.as_ref()) || holds(email, &part) || account.is_in(sought)
        };
        // The keys are the names in lower case.
        let all = self.by_name.iter();
        let mut found: Vec<(&str, &Account)> = all
            .map(|(name, account)| (name.as_ref(), account.as_ref()))
            .filter(|(name, account)| is_meant(name, account))
            .collect();
        let total = found.len();
        let start = page.saturating_sub(1).saturating_mul(PER_PAGE);
        let end = start.saturating_add(PER_PAGE);
        // What stands before and behind the page is set apart and not sorted: that would take
        // longer than all the rest, where there are a hundred thousand names.
        if end < total {
            found.select_nth_unstable_by_key(end, |(name, _)| *name);
            found.truncate(end);
        }
        let mut page = match start {
            0 => found,
            start if start < total => {
                found.select_nth_unstable_by_key(start, |(name, _)| *name);
                found.split_off(start)
            }
            _ => Vec::new(),
        };
        page.sort_unstable_by_key(|(name, _)| *name);
        let people = page.into_iter().map(|(_, account)| account).collect();
        Found { people, total }
    }

    /// The invitations that work, the oldest first.
    pub fn listed_invitations(&self, now: Timestamp) -> Vec<ListedInvitation<'_>> {
        let open = self.open_invitations(now).into_iter();
        open.map(|(id, invitation)| ListedInvitation {
            id,
            email: invitation.email.as_deref(),
            groups: &invitation.groups,
            by: &invitation.by,
            expires: invitation.expires,
            account: invitation.account.as_ref(),
        })
        .collect()
    }

    /// All accounts, or those in exactly this group, by name without regard to case.
    pub fn listed(&self, group: Option<&str>) -> Vec<Listed<'_>> {
        let is_meant = |account: &Account| group.is_none_or(|group| account.is_in(group));
        let all = self.iter().map(AsRef::as_ref);
        let mut listed: Vec<Listed<'_>> = all
            .filter(|account| is_meant(account))
            .map(Listed::from)
            .collect();
        listed.sort_by(|one, other| names::key(one.username).cmp(&names::key(other.username)));
        listed
    }
}

/// Whether `part`, which is in lower case, stands somewhere in a text of whatever case.
fn holds(text: &str, part: &str) -> bool {
    let (text, part) = (text.as_bytes(), part.as_bytes());
    part.is_empty()
        || text
            .windows(part.len())
            .any(|here| here.eq_ignore_ascii_case(part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::password::PasswordHash;

    fn accounts() -> Accounts {
        let mut accounts = Accounts::default();
        for name in ["carol", "Bob", "alice"] {
            let hash = PasswordHash::quick();
            let email = format!("{name}@example.com");
            let account = Account::new(name, &email, hash, Timestamp(1_800_000_000));
            accounts.add(account).ok().unwrap();
        }
        accounts.change("bob", |bob| {
            bob.disabled = true;
            bob.groups.clear();
        });
        accounts.change("carol", |carol| {
            carol.groups.push("admins".to_owned());
            carol.last_login = Some(Timestamp(1_800_000_060));
        });
        accounts
    }

    #[test]
    fn people_are_listed_by_name_without_regard_to_case() {
        let accounts = accounts();
        let listed = accounts.listed(None);
        let lines: Vec<String> = listed.iter().map(|one| one.fields().join(" ")).collect();
        assert_eq!(
            lines,
            [
                "alice alice@example.com users active no -",
                "Bob Bob@example.com - disabled no -",
                "carol carol@example.com users,admins active no 2027-01-15T08:01:00Z",
            ]
        );
    }

    /// The names on a page, and how many were found.
    fn found(accounts: &Accounts, sought: &str, page: usize) -> (String, usize) {
        let found = accounts.found(sought, page);
        let names = found.people.iter().map(|one| one.username.as_str());
        (names.collect::<Vec<_>>().join(" "), found.total)
    }

    #[test]
    fn people_are_found_by_a_part_of_a_name_or_address_or_by_a_whole_group() {
        let accounts = accounts();
        for (sought, names) in [
            ("", "alice Bob carol"),
            ("o", "alice Bob carol"),
            ("RO", "carol"),
            ("b", "Bob"),
            ("bob@EXAMPLE", "Bob"),
            ("admins", "carol"),
            ("admin", ""),
            ("Admins", ""),
            ("alice@example.com.au", ""),
            ("ro ", ""),
        ] {
            let total = names.split_whitespace().count();
            assert_eq!(found(&accounts, sought, 1), (names.to_owned(), total));
        }
    }

    #[test]
    fn pages_follow_each_other_without_a_gap() {
        let mut accounts = Accounts::default();
        // In an order of their own, and with capitals among them.
        let name = |n: usize| match n % 3 {
            0 => format!("USER{n:03}"),
            _ => format!("user{n:03}"),
        };
        for n in (0..151).map(|n| n * 67 % 151) {
            let hash = PasswordHash::quick();
            let email = format!("{n}@example.com");
            let account = Account::new(&name(n), &email, hash, Timestamp(0));
            accounts.add(account).ok().unwrap();
        }
        let pages: Vec<String> = (1..=4).map(|page| found(&accounts, "", page).0).collect();
        let all: Vec<String> = (0..151).map(name).collect();
        let expected: Vec<String> = all.chunks(PER_PAGE).map(|page| page.join(" ")).collect();
        assert_eq!(pages, expected);
        assert_eq!(accounts.found("", 1).pages(), 4);
        assert_eq!(found(&accounts, "", 5), (String::new(), 151));
        assert_eq!(found(&accounts, "", usize::MAX), (String::new(), 151));
        assert_eq!(found(&accounts, "user", 2).0, pages[1]);
        assert_eq!(
            (
                found(&accounts, "nobody", 1).1,
                accounts.found("nobody", 1).pages()
            ),
            (0, 1)
        );
    }

    #[test]
    fn a_group_is_meant_to_the_letter() {
        let accounts = accounts();
        let names = |group| -> Vec<&str> {
            let listed = accounts.listed(Some(group)).into_iter();
            listed.map(|one| one.username).collect()
        };
        assert_eq!(names("admins"), ["carol"]);
        assert!(names("Admins").is_empty());
        assert!(names("admin").is_empty());
    }

    #[test]
    fn a_person_is_told_of_without_anything_secret() {
        let accounts = accounts();
        assert_eq!(
            serde_json::to_value(accounts.listed(Some("admins"))).unwrap(),
            json!([{
                "username": "carol",
                "email": "carol@example.com",
                "email_proven": false,
                "groups": ["users", "admins"],
                "state": "active",
                "second_factor": false,
                "created": "2027-01-15T08:00:00Z",
                "last_login": "2027-01-15T08:01:00Z",
            }])
        );
    }
}
