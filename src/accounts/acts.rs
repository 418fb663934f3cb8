//! What those who answer for all accounts do to them: the rules, whoever asks.

use std::time::Duration;

use crate::accounts::password::{self, Password, PasswordHash};
use crate::accounts::person::Person;
use crate::accounts::token::Digest;
use crate::accounts::{Account, groups};
use crate::clock::Timestamp;

/// Why a password cannot be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnfitPassword {
    TooShort,
    TooLong,
    /// On the list of common ones, or the account's own name or address.
    Common,
}

/// The password that somebody chose for an account, by the rules of registration.
///
/// # Errors
///
/// Why it cannot be that.
pub fn choose_password(
    chosen: &str,
    username: &str,
    email: Option<&str>,
) -> Result<Password, UnfitPassword> {
    if chosen.chars().count() > password::MAX_SENT {
        return Err(UnfitPassword::TooLong);
    }
    let chosen = Password::new(chosen);
    match chosen.length() {
        length if length > password::MAX_LENGTH => Err(UnfitPassword::TooLong),
        length if length < password::MIN_LENGTH => Err(UnfitPassword::TooShort),
        _ if chosen.is_easy_to_guess(username, email) => Err(UnfitPassword::Common),
        _ => Ok(chosen),
    }
}

/// What an administrator does to an account.
#[derive(Clone, PartialEq)]
pub enum Act {
    Disable,
    Enable,
    EndSessions,
    /// All the groups it is to be in.
    Groups(Vec<String>),
    NewPassword,
    /// As [`Act::NewPassword`], of this digest, whose mail is written already and counts for no
    /// limit.
    NewPasswordOf(Digest),
    Remove,
    ResetSecondFactor,
}

/// What came of an act.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Whether anything is other than before.
    pub is_change: bool,
    /// Whether the owner is to be told by mail.
    pub is_told: bool,
}

/// Why an act was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undone {
    /// Nothing is mailed to an account that is disabled.
    Disabled,
    /// Nothing can be mailed to an account without an address.
    NoAddress,
    /// Enough has been mailed for this hour; how long until there is room.
    TooManyMails(Duration),
}

impl Act {
    /// Whether administrators cannot do this to themselves: each would shut them out.
    pub fn shuts_out(&self) -> bool {
        match self {
            Self::Disable | Self::Remove => true,
            Self::Groups(groups) => !groups.iter().any(|name| name == groups::ADMINISTRATORS),
            Self::Enable
            | Self::EndSessions
            | Self::NewPassword
            | Self::NewPasswordOf(_)
            | Self::ResetSecondFactor => false,
        }
    }

    /// Whether unfinished logins end with it, besides sessions.
    fn ends_logins(&self) -> bool {
        match self {
            Self::Disable | Self::EndSessions | Self::Remove | Self::ResetSecondFactor => true,
            Self::Enable | Self::Groups(_) | Self::NewPassword | Self::NewPasswordOf(_) => false,
        }
    }

    /// Changes the account; `own` is the session that asks, if it is one of this account.
    ///
    /// # Errors
    ///
    /// Why nothing was changed.
    pub fn change(
        &self,
        person: &mut Person<'_>,
        own: Option<Digest>,
        now: Timestamp,
    ) -> Result<Done, Undone> {
        let mut done = Done {
            is_change: true,
            is_told: false,
        };
        match self {
            Self::Disable if person.account().disabled => return Ok(Done::default()),
            Self::Disable => person.account_mut().disable(),
            Self::Enable if !person.account().disabled => return Ok(Done::default()),
            Self::Enable => person.account_mut().enable(),
            Self::EndSessions => {
                person.account_mut().end_all_but(own);
                person.void_changes();
            }
            Self::Groups(groups) if person.account().groups == *groups => {
                return Ok(Done::default());
            }
            Self::Groups(groups) => person.account_mut().groups.clone_from(groups),
            Self::NewPassword | Self::NewPasswordOf(_) if person.account().disabled => {
                return Err(Undone::Disabled);
            }
            Self::NewPassword | Self::NewPasswordOf(_) if person.account().email.is_none() => {
                return Err(Undone::NoAddress);
            }
            Self::NewPasswordOf(digest) => {
                person.account_mut().mail_password(*digest, None, now);
            }
            Self::NewPassword => {
                let counted = person.account_mut().count_mail_for_owner(now);
                counted.map_err(Undone::TooManyMails)?;
            }
            Self::Remove => person.remove(now),
            Self::ResetSecondFactor => {
                done.is_told = person.account_mut().reset_second_factor();
                done.is_change = done.is_told;
                person.void_changes();
            }
        }
        if self.ends_logins() {
            person.forget_pending();
        }
        Ok(done)
    }
}

impl Account {
    /// Whether it answers for all accounts.
    pub fn is_administrator(&self) -> bool {
        !self.disabled && self.is_in(groups::ADMINISTRATORS)
    }

    /// Whether it is in this group, to the letter.
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }

    /// Keeps it from logging in, and ends its sessions and unfinished logins.
    pub fn disable(&mut self) {
        if !self.disabled {
            self.disabled = true;
            self.end_all_but(None);
        }
    }

    /// Lets it log in again; what was begun before, by whoever disabled it in whatever way, stays
    /// ended.
    pub fn enable(&mut self) {
        if self.disabled {
            self.disabled = false;
            self.end_all_but(None);
        }
    }

    /// Takes away the second factor and all that stands in for it, and ends what was begun with
    /// it; the next login enrols anew. Whether there was one.
    pub fn reset_second_factor(&mut self) -> bool {
        self.recovery_codes.clear();
        self.devices.clear();
        // Without recovery codes, these counts might keep the owner out for good.
        self.wrong_codes.clear();
        self.end_all_but(None);
        let had_passkeys = !std::mem::take(&mut self.passkeys).is_empty();
        // What was made with it, by whoever had it.
        let had_tokens = !std::mem::take(&mut self.tokens).is_empty();
        self.totp.take().is_some() || had_passkeys || had_tokens
    }

    /// An account as an operator makes it, who vouches for its address.
    pub fn made_by_operator(
        username: &str,
        email: &str,
        groups: Vec<String>,
        password: Option<PasswordHash>,
        now: Timestamp,
    ) -> Self {
        Self {
            email_proven: true,
            groups,
            registered: false,
            password,
            ..Self::without_password(username, Some(email), now)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::Accounts;
    use crate::accounts::access_token::AccessToken;
    use crate::accounts::person::Fate;
    use crate::accounts::session::{Session, Sessions};
    use crate::accounts::token;
    use crate::clock::Moment;
    use crate::network::Network;

    const NOW: Timestamp = Timestamp(1_800_000_000);

    /// An enrolled administrator with two sessions, who has logged in from a browser.
    fn alice() -> (Account, Sessions) {
        let hash = PasswordHash::quick();
        let mut alice = Account::new("alice", "alice@example.com", hash, NOW);
        alice.groups.push(groups::ADMINISTRATORS.to_owned());
        alice.new_recovery_codes();
        alice.totp = Some(crate::accounts::Totp {
            secret: crate::accounts::totp::Secret::new(),
            last_step: 0,
            other: Default::default(),
        });
        let browser = Digest::of(&token::cookie());
        alice.remember_device(
            crate::accounts::devices::Device::new(browser, "curl", NOW),
            NOW,
        );
        alice.wrong_codes.count = 30;
        let owner = ("alice", alice.basis());
        let begun = |id| Session::new(Digest::of(id), owner, String::new(), "", NOW);
        let sessions = [begun("own"), begun("other")].into_iter().collect();
        (alice, sessions)
    }

    /// What an act makes of an account and how many of its sessions it ends.
    fn done(alice: Account, sessions: &Sessions, act: &Act) -> (Result<Done, Undone>, Fate, usize) {
        let alice = alice.into();
        let mut person = Person::new(&alice, sessions);
        let told = act.change(&mut person, Some(Digest::of("own")), NOW);
        let changed = person.changed();
        (told, changed.account, changed.ended.len())
    }

    #[test]
    fn each_act_ends_what_it_should_and_no_more() {
        for (act, ended) in [
            (Act::Disable, 2),
            (Act::EndSessions, 1),
            (Act::Groups(Vec::new()), 0),
            (Act::NewPassword, 0),
            (Act::Remove, 2),
            (Act::ResetSecondFactor, 2),
        ] {
            let (alice, sessions) = alice();
            let expected = Done {
                is_change: true,
                is_told: act == Act::ResetSecondFactor,
            };
            let (told, _, sessions) = done(alice, &sessions, &act);
            assert_eq!((told, sessions), (Ok(expected), ended));
        }
    }

    #[test]
    fn what_is_so_already_costs_no_save() {
        let (mut alice, sessions) = alice();
        let same = Act::Groups(alice.groups.clone());
        for act in [Act::Enable, same] {
            let (told, fate, _) = done(alice.clone(), &sessions, &act);
            assert!(told == Ok(Done::default()) && matches!(fate, Fate::Stays));
        }
        alice.disabled = true;
        let (told, fate, _) = done(alice, &sessions, &Act::Disable);
        assert!(told == Ok(Done::default()) && matches!(fate, Fate::Stays));
    }

    #[test]
    fn enabling_revives_no_session_of_an_account_that_was_disabled_by_hand() {
        let (mut alice, sessions) = alice();
        alice.disabled = true;
        let (_, fate, ended) = done(alice, &sessions, &Act::Enable);
        assert!(matches!(fate, Fate::Changes(account) if !account.disabled));
        assert_eq!(ended, 2);
    }

    #[test]
    fn a_reset_leaves_nothing_that_stands_in_for_the_second_factor() {
        let (mut alice, sessions) = alice();
        let passkey = serde_json::json!({
            "id": "AA", "key": format!("pAEBAycgBiFYI{}", "A".repeat(43)), "name": "Key",
            "created": "2026-11-22T12:00:00Z", "count": 0, "verified": true, "synced": true,
            "rp": "auth.example.com",
        });
        alice
            .passkeys
            .push(serde_json::from_value(passkey).unwrap());
        let hosts = vec!["app.example.com".to_owned()];
        alice
            .tokens
            .push(AccessToken::new("secret", "phone", hosts, 1, NOW));
        let (_, fate, _) = done(alice.clone(), &sessions, &Act::ResetSecondFactor);
        let Fate::Changes(account) = fate else {
            panic!("not changed");
        };
        assert!(account.totp.is_none() && account.recovery_codes.is_empty());
        assert!(account.passkeys.is_empty() && account.tokens.is_empty());
        // A passkey is a second factor too.
        alice.totp = None;
        let (told, ..) = done(alice, &sessions, &Act::ResetSecondFactor);
        assert!(told.is_ok_and(|done| done.is_told));
        assert!(account.devices.is_empty() && account.wrong_codes.is_none());
        let once_more = Act::ResetSecondFactor;
        let (told, ..) = done(Account::clone(&account), &sessions, &once_more);
        assert_eq!(told, Ok(Done::default()), "there was none");
    }

    #[test]
    fn nothing_is_mailed_where_it_would_be_of_no_use() {
        let (alice, sessions) = alice();
        let refused = |alice| done(alice, &sessions, &Act::NewPassword).0;
        let disabled = Account {
            disabled: true,
            ..alice.clone()
        };
        assert_eq!(refused(disabled), Err(Undone::Disabled));
        let mute = Account {
            email: None,
            ..alice.clone()
        };
        assert_eq!(refused(mute), Err(Undone::NoAddress));
        let mut busy = alice;
        for n in 0..5 {
            assert_eq!(
                busy.count_mail_for_owner(Timestamp(NOW.0 - 600 + n)),
                Ok(())
            );
        }
        let wait = Duration::from_secs(3_000);
        assert_eq!(refused(busy), Err(Undone::TooManyMails(wait)));
    }

    #[test]
    fn a_password_that_a_command_mails_counts_for_no_limit() {
        let (mut alice, sessions) = alice();
        for n in 0..5 {
            let counted = alice.count_mail_for_owner(Timestamp(NOW.0 - 600 + n));
            assert_eq!(counted, Ok(()));
        }
        let act = Act::NewPasswordOf(Digest::of("mailed"));
        let (told, fate, ended) = done(alice.clone(), &sessions, &act);
        assert!(told.is_ok_and(|done| done.is_change) && ended == 0);
        let Fate::Changes(account) = fate else {
            panic!("not changed");
        };
        assert_eq!(account.mails.len(), 5);
        assert!(account.mailed("mailed", NOW).is_some());
        alice.disable();
        assert_eq!(done(alice, &sessions, &act).0, Err(Undone::Disabled));
    }

    #[test]
    fn only_what_shuts_out_cannot_be_done_to_oneself() {
        let groups =
            |names: &[&str]| Act::Groups(names.iter().map(|it| (*it).to_owned()).collect());
        for (act, shuts_out) in [
            (Act::Disable, true),
            (Act::Enable, false),
            (Act::EndSessions, false),
            (Act::NewPassword, false),
            (Act::Remove, true),
            (Act::ResetSecondFactor, false),
            (groups(&["users"]), true),
            (groups(&["Admins"]), true),
            (groups(&["staff", "admins"]), false),
        ] {
            assert_eq!(act.shuts_out(), shuts_out);
        }
    }

    #[test]
    fn a_disabled_account_answers_for_nobody() {
        let (mut alice, _) = alice();
        assert!(alice.is_administrator());
        alice.disable();
        assert!(!alice.is_administrator());
    }

    #[test]
    fn an_account_that_was_reset_is_not_taken_for_one_that_never_logged_in() {
        let (mut alice, _) = alice();
        let now = Moment {
            wall: NOW.0,
            steady: Duration::from_secs(NOW.0),
        };
        alice.registered = true;
        alice.logged_in(None, Network::of([192, 0, 2, 1].into()), now.timestamp());
        alice.reset_second_factor();
        let mut accounts = Accounts::default();
        accounts.add(alice).ok().unwrap();
        let later = Timestamp(NOW.0 + 365 * 86_400);
        assert!(accounts.never_enrolled(later).is_empty());
    }

    #[test]
    fn a_password_is_judged_by_its_normalised_form() {
        let choose = |chosen: &str| {
            choose_password(chosen, "alice-smith", Some("alice@example.com"))
                .map(|chosen| chosen.length())
        };
        assert_eq!(choose("1234567"), Err(UnfitPassword::TooShort));
        // Seven letters, two characters each.
        assert_eq!(choose(&"u\u{308}".repeat(7)), Err(UnfitPassword::TooShort));
        assert_eq!(choose(&"u\u{308}".repeat(256)), Ok(256));
        assert_eq!(choose(&"x".repeat(257)), Err(UnfitPassword::TooLong));
        assert_eq!(choose("Password1"), Err(UnfitPassword::Common));
        assert_eq!(choose("Alice-Smith"), Err(UnfitPassword::Common));
        assert_eq!(choose("ALICE@example.com"), Err(UnfitPassword::Common));
        assert_eq!(choose("  a good one  "), Ok(14));
    }
}
