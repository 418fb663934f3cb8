//! Unfinished logins: the password was right, and the code has yet to come.
//!
//! They live in memory only, for five minutes, and count as a session nowhere.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::accounts::login::SecondStep;
use crate::accounts::session::Basis;
use crate::accounts::token::Digest;
use crate::accounts::totp::Secret;
use crate::accounts::{Account, names, token};
use crate::clock::Timestamp;

/// How long a login waits for its code.
pub const LIFETIME: Duration = Duration::from_secs(5 * 60);

/// Wrong codes after which the password is asked for again.
pub const MAX_WRONG_CODES: u32 = 5;

/// Most pending logins: more than hashing allows to begin within their lifetime on 16 cores.
const MAX_PENDING: usize = 50_000;

/// A login whose password was right, and which waits for a code.
#[derive(Clone)]
pub struct PendingLogin {
    /// As the account's owner wrote it.
    pub username: String,
    /// What the login rests on. The account must still have it when the code comes; otherwise the
    /// password has changed, everything was ended, or another account has the name.
    pub basis: Basis,
    /// The key to enrol, if the account has no second factor yet. It is kept nowhere else.
    pub enrolling: Option<Secret>,
    /// The password was a mailed one, with this digest: it leads to choosing a new one.
    pub mailed: Option<Digest>,
    /// The address that was mailed to, if the password was a mailed one.
    address: Option<String>,
    /// Where the visitor wanted to go, already validated; may be empty.
    pub rd: String,
    /// Whether the visitor chose to stay logged in.
    pub remember: bool,
    wrong_codes: u32,
}

impl PendingLogin {
    /// A login with no wrong codes yet; `rd` must be validated.
    pub fn new(
        username: &str,
        basis: Basis,
        enrolling: Option<Secret>,
        mailed: Option<Digest>,
        rd: String,
    ) -> Self {
        Self {
            username: username.to_owned(),
            basis,
            enrolling,
            mailed,
            address: None,
            rd,
            remember: false,
            wrong_codes: 0,
        }
    }

    /// Notes whether the visitor chose to stay logged in.
    pub fn remembering(self, remember: bool) -> Self {
        Self { remember, ..self }
    }

    /// If the password was a mailed one, notes its address: the login ends when that changes.
    pub fn mailed_to(self, address: Option<&str>) -> Self {
        let address = self.mailed.and(address).map(str::to_owned);
        Self { address, ..self }
    }

    /// Whether this is still the account it began with: there, enabled, with the same password, and
    /// enrolled or not as it was; after a mailed password with the same address, too.
    pub fn is_for(&self, account: &Account) -> bool {
        !account.disabled
            && account.basis() == self.basis
            && has_address(account, self.address.as_deref())
            && account.has_second_factor() != self.enrolling.is_some()
    }
}

/// A login by mailed password whose code was right too: a new password must be chosen.
#[derive(Clone)]
pub struct PendingChoice {
    /// As the account's owner wrote it.
    pub username: String,
    /// As [`PendingLogin::basis`].
    pub basis: Basis,
    /// Digest of the mailed password.
    pub mailed: Digest,
    address: Option<String>,
    /// As [`PendingLogin::rd`].
    pub rd: String,
    /// As [`PendingLogin::remember`].
    pub remember: bool,
    /// By what it passed its second step.
    pub by: SecondStep,
}

impl PendingChoice {
    /// Whether this is still the account it began with: there, enabled, with the same password and
    /// address.
    pub fn is_for(&self, account: &Account) -> bool {
        !account.disabled
            && account.basis() == self.basis
            && has_address(account, self.address.as_deref())
    }
}

fn has_address(account: &Account, address: Option<&str>) -> bool {
    address.is_none_or(|address| account.has_address(address))
}

/// A logged-in visitor's move to a new authenticator, until a code confirms its key.
#[derive(Clone)]
pub struct PendingMove {
    /// As the account's owner wrote it.
    pub username: String,
    /// The new key.
    pub secret: Secret,
}

/// Bounded tables of what is pending, by the digest of a cookie.
pub struct Pending {
    logins: Mutex<HashMap<Digest, Entry<Stage>>>,
    /// By the digest of the session's cookie.
    moves: Mutex<HashMap<Digest, Entry<PendingMove>>>,
}

enum Stage {
    Code(PendingLogin),
    Choice(PendingChoice),
}

struct Entry<T> {
    begun: Timestamp,
    what: T,
}

impl Pending {
    /// Nothing is pending yet.
    pub fn new() -> Self {
        Self {
            logins: Mutex::default(),
            moves: Mutex::default(),
        }
    }

    /// Keeps a login; returns the value of its cookie.
    pub fn begin(&self, login: PendingLogin, now: Timestamp) -> String {
        let cookie = token::cookie();
        insert(
            &mut lock(&self.logins),
            Digest::of(&cookie),
            Stage::Code(login),
            now,
        );
        cookie
    }

    /// The login of this cookie that waits for a code.
    pub fn login(&self, cookie: &str, now: Timestamp) -> Option<PendingLogin> {
        match live(&lock(&self.logins), Digest::of(cookie), now)? {
            Stage::Code(login) => Some(login.clone()),
            Stage::Choice(_) => None,
        }
    }

    /// The login of this cookie that must choose a password.
    pub fn choice(&self, cookie: &str, now: Timestamp) -> Option<PendingChoice> {
        match live(&lock(&self.logins), Digest::of(cookie), now)? {
            Stage::Code(_) => None,
            Stage::Choice(choice) => Some(choice.clone()),
        }
    }

    /// Counts a wrong code; the login ends with the last one allowed.
    pub fn wrong_code(&self, cookie: &str) {
        let id = Digest::of(cookie);
        let mut logins = lock(&self.logins);
        if let Some(Entry {
            what: Stage::Code(login),
            ..
        }) = logins.get_mut(&id)
        {
            login.wrong_codes += 1;
            if login.wrong_codes >= MAX_WRONG_CODES {
                logins.remove(&id);
            }
        }
    }

    /// Turns a login whose code was right into a choice, and gives the choice's new cookie. `None`
    /// if another request finished the login in the meantime.
    pub fn must_choose(&self, cookie: &str, by: SecondStep, now: Timestamp) -> Option<String> {
        let mut logins = lock(&self.logins);
        let Some(Entry {
            what: Stage::Code(login),
            ..
        }) = logins.remove(&Digest::of(cookie))
        else {
            return None;
        };
        let PendingLogin {
            username,
            basis,
            mailed,
            address,
            rd,
            remember,
            ..
        } = login;
        let choice = PendingChoice {
            username,
            basis,
            mailed: mailed?,
            address,
            rd,
            remember,
            by,
        };
        let cookie = token::cookie();
        insert(&mut logins, Digest::of(&cookie), Stage::Choice(choice), now);
        Some(cookie)
    }

    /// Ends what is pending under this cookie; false if there was nothing.
    pub fn finish(&self, cookie: &str) -> bool {
        lock(&self.logins).remove(&Digest::of(cookie)).is_some()
    }

    /// Ends all that is pending for an account, when its password or authenticator has changed.
    pub fn forget_account(&self, username: &str) {
        let name = names::key(username);
        lock(&self.logins).retain(|_, entry| match &entry.what {
            Stage::Code(login) => names::key(&login.username) != name,
            Stage::Choice(choice) => names::key(&choice.username) != name,
        });
        lock(&self.moves).retain(|_, entry| names::key(&entry.what.username) != name);
    }

    /// Keeps the key a session moves to; an earlier one is forgotten.
    pub fn begin_move(&self, session: Digest, what: PendingMove, now: Timestamp) {
        insert(&mut lock(&self.moves), session, what, now);
    }

    /// The key a session moves to.
    pub fn moving(&self, session: Digest, now: Timestamp) -> Option<PendingMove> {
        live(&lock(&self.moves), session, now).cloned()
    }
}

impl Default for Pending {
    fn default() -> Self {
        Self::new()
    }
}

fn live<T>(table: &HashMap<Digest, Entry<T>>, id: Digest, now: Timestamp) -> Option<&T> {
    table
        .get(&id)
        .filter(|entry| now.since(entry.begun) < LIFETIME)
        .map(|entry| &entry.what)
}

fn insert<T>(table: &mut HashMap<Digest, Entry<T>>, id: Digest, what: T, now: Timestamp) {
    if table.len() >= MAX_PENDING {
        table.retain(|_, entry| now.since(entry.begun) < LIFETIME);
    }
    if table.len() >= MAX_PENDING {
        let oldest = table
            .iter()
            .min_by_key(|(_, entry)| entry.begun)
            .map(|(id, _)| *id);
        oldest.map(|id| table.remove(&id));
    }
    table.insert(id, Entry { begun: now, what });
}

/// Each change is one insertion or removal, so a panic elsewhere leaves the table whole.
fn lock<T>(table: &Mutex<T>) -> MutexGuard<'_, T> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::password::PasswordHash;

    fn login() -> PendingLogin {
        let mailed = Some(Digest::of("mailed"));
        PendingLogin::new("alice", basis("c2FsdA"), None, mailed, String::new())
    }

    fn basis(salt: &str) -> Basis {
        Account::new("alice", "a@example.com", hash(salt), Timestamp(0)).basis()
    }

    fn hash(salt: &str) -> PasswordHash {
        let hash = "Eg+2z/z4syxD5yJSVsT4N6hlSMkszDVICAWYfLcL4Xs";
        let hash = PasswordHash::parse(&format!("$pbkdf2-sha256$i=1,l=32${salt}${hash}"));
        hash.ok().unwrap()
    }

    #[test]
    fn a_pending_login_is_for_the_account_it_began_with() {
        let account = |salt: &str| Account::new("alice", "a@example.com", hash(salt), Timestamp(0));
        let enrolling = PendingLogin {
            enrolling: Some(Secret::new()),
            ..login()
        };
        let disabled = Account {
            disabled: true,
            ..account("c2FsdA")
        };
        assert!(enrolling.is_for(&account("c2FsdA")));
        let mailed = enrolling.clone().mailed_to(Some("A@example.com"));
        let elsewhere = Account {
            email: Some("b@example.com".to_owned()),
            ..account("c2FsdA")
        };
        assert!(mailed.is_for(&account("c2FsdA")));
        assert!(!mailed.is_for(&elsewhere), "another address");
        assert!(enrolling.is_for(&elsewhere));
        assert!(!enrolling.is_for(&account("c2FsdDE")), "another password");
        assert!(!enrolling.is_for(&disabled));
        let ended = Account {
            generation: 1,
            ..account("c2FsdA")
        };
        assert!(!enrolling.is_for(&ended), "everything was ended");
        assert!(!login().is_for(&account("c2FsdA")), "not enrolled any more");
    }

    #[test]
    fn a_pending_login_lives_five_minutes() {
        let pending = Pending::new();
        let cookie = pending.begin(login(), Timestamp(1000));
        assert!(pending.login(&cookie, Timestamp(1299)).is_some());
        assert!(pending.login(&cookie, Timestamp(1300)).is_none());
    }

    #[test]
    fn the_fifth_wrong_code_ends_it() {
        let pending = Pending::new();
        let cookie = pending.begin(login(), Timestamp(0));
        for _ in 0..4 {
            pending.wrong_code(&cookie);
        }
        assert!(pending.login(&cookie, Timestamp(0)).is_some());
        pending.wrong_code(&cookie);
        assert!(pending.login(&cookie, Timestamp(0)).is_none());
    }

    #[test]
    fn the_two_stages_have_two_cookies_and_neither_stands_in_for_the_other() {
        let pending = Pending::new();
        let first = pending.begin(login(), Timestamp(0));
        assert!(pending.choice(&first, Timestamp(0)).is_none());
        let second = pending
            .must_choose(&first, SecondStep::Code, Timestamp(0))
            .unwrap();
        assert!(pending.login(&first, Timestamp(0)).is_none());
        assert!(pending.login(&second, Timestamp(0)).is_none());
        assert!(pending.choice(&second, Timestamp(0)).is_some());
        assert!(
            pending
                .must_choose(&second, SecondStep::Code, Timestamp(0))
                .is_none()
        );
    }

    #[test]
    fn an_account_is_forgotten_in_any_spelling() {
        let pending = Pending::new();
        let cookie = pending.begin(login(), Timestamp(0));
        pending.forget_account("ALICE");
        assert!(!pending.finish(&cookie));
    }
}
