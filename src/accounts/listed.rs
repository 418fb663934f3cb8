//! What those who answer for all accounts are told of each of them: never a hash, key or token.

use serde::Serialize;

use crate::accounts::{Account, Accounts, names};
use crate::clock::Timestamp;

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
            second_factor: account.totp.is_some(),
            created: account.created.at(),
            last_login: account.last_login,
        }
    }
}

impl Listed<'_> {
    /// The fields of a list as text, in their order; `-` for what is empty.
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
    }
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
}

impl Accounts {
    /// The invitations that work, the oldest first.
    pub fn listed_invitations(&self, now: Timestamp) -> Vec<ListedInvitation<'_>> {
        let open = self.open_invitations(now).into_iter();
        open.map(|(id, invitation)| ListedInvitation {
            id,
            email: invitation.email.as_deref(),
            groups: &invitation.groups,
            by: &invitation.by,
            expires: invitation.expires,
        })
        .collect()
    }

    /// All accounts, or those in exactly this group, by name without regard to case.
    pub fn listed(&self, group: Option<&str>) -> Vec<Listed<'_>> {
        let is_meant = |account: &Account| {
            group.is_none_or(|group| account.groups.iter().any(|own| own == group))
        };
        let all = self.iter().map(AsRef::as_ref);
        let mut listed: Vec<Listed<'_>> = all
            .filter(|account| is_meant(account))
            .map(Listed::from)
            .collect();
        listed.sort_by(|one, other| names::key(one.username).cmp(&names::key(other.username)));
        listed
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::accounts::password::PasswordHash;

    /// Some hash: making one takes a while.
    const HASH: &str = "$pbkdf2-sha256$i=1,l=32$c2FsdA$Eg+2z/z4syxD5yJSVsT4N6hlSMkszDVICAWYfLcL4Xs";

    fn accounts() -> Accounts {
        let mut accounts = Accounts::default();
        for name in ["carol", "Bob", "alice"] {
            let hash = PasswordHash::parse(HASH).ok().unwrap();
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
