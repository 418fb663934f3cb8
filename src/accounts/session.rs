//! Sessions: who is logged in, from where, and until when.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indexmap::IndexMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::accounts::kept::Unknown;
use crate::accounts::password::PasswordHash;
use crate::accounts::token::{Digest, DigestKey};
use crate::accounts::{Account, Accounts, names};
use crate::clock::{DRIFT, Timestamp};

/// Most sessions of one account; the one unused for longest makes room.
pub const MAX_PER_ACCOUNT: usize = 50;

/// How long a session may be on disk before the change of the account that earned it.
const SETTLES: Duration = Duration::from_secs(60);

/// How long sessions last.
#[derive(Clone, Copy)]
pub struct Limits {
    /// Since the last request.
    pub idle: Duration,
    /// Since the login.
    pub max: Duration,
    /// Since the login, in place of both, if its owner chose to stay logged in; zero if nobody can.
    pub remember: Duration,
}

impl Limits {
    /// Until when somebody stays logged in who chose to at this login, if anybody can.
    pub fn stay_until(&self, login: Timestamp) -> Option<Timestamp> {
        (!self.remember.is_zero()).then(|| login.plus(self.remember))
    }
}

/// What the sessions and the unfinished logins of an account rest on.
#[derive(Clone, Copy, PartialEq, Deserialize, Serialize)]
pub struct Basis {
    /// [`PasswordHash::id`](super::password::PasswordHash::id) of the account's password.
    pub password_id: Digest,
    /// [`Account::generation`].
    #[serde(
        default,
        deserialize_with = "read_generation",
        skip_serializing_if = "is_first"
    )]
    pub generation: u64,
}

/// Reads a number in a flattened struct, to which serde_json hands it with all its digits, not as
/// an integer.
fn read_generation<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let number = serde_json::Number::deserialize(deserializer)?;
    number
        .as_u64()
        .ok_or_else(|| de::Error::custom("not a generation"))
}

/// Whether nothing has ended all sessions of the account yet; the file then leaves this out.
pub fn is_first(generation: &u64) -> bool {
    *generation == 0
}

impl Account {
    /// The id of its password; where it has none, an id that no password has.
    pub fn password_id(&self) -> Digest {
        let id = self.password.as_ref().map(PasswordHash::id);
        id.unwrap_or_else(|| Digest::of(""))
    }

    /// What sessions that begin now rest on.
    pub fn basis(&self) -> Basis {
        Basis {
            password_id: self.password_id(),
            generation: self.generation,
        }
    }
}

/// A login that has passed both factors. Before that there is no session.
#[derive(Deserialize, Serialize)]
pub struct Session {
    /// Digest of the cookie.
    pub id: Digest,
    /// As the account's owner wrote it.
    pub username: String,
    /// When it began.
    pub created: Timestamp,
    /// What the session rests on. A change of that ends the session in the very save of the
    /// account's file: no kill can come between, whatever the sessions' file says.
    #[serde(flatten)]
    pub basis: Basis,
    /// Seconds since 1970 of the last request; changed in place, since a request must not cost a
    /// save.
    #[serde(serialize_with = "write_time", deserialize_with = "read_time")]
    last_seen: AtomicU64,
    /// Seconds by which the last request may have come later than is known here, because another
    /// node had it.
    #[serde(skip)]
    late: u64,
    /// The address of the client at the login.
    pub address: String,
    /// What the browser says it is.
    pub agent: String,
    /// When the login was whose owner chose to stay logged in; earlier than `created` where the
    /// password has been changed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remembered: Option<Timestamp>,
    /// When the login was by both steps, if earlier than `created`: a new password begins the
    /// session anew, and shows no code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<Timestamp>,
    /// What somebody else keeps in the file.
    #[serde(flatten)]
    pub other: Unknown,
}

impl Session {
    /// A session of this account that begins now.
    pub fn new(
        id: Digest,
        (username, basis): (&str, Basis),
        address: String,
        agent: &str,
        now: Timestamp,
    ) -> Self {
        let agent = agent.chars().take(200).collect();
        let last_seen = AtomicU64::new(now.0);
        Self {
            id,
            username: username.to_owned(),
            created: now,
            basis,
            last_seen,
            late: 0,
            address,
            agent,
            remembered: None,
            login: None,
            other: Unknown::default(),
        }
    }

    /// The same session, begun anew after a login at this moment.
    pub fn after_login_at(self, login: Option<Timestamp>) -> Self {
        Self { login, ..self }
    }

    /// When both factors were shown at a login.
    pub fn logged_in_at(&self) -> Timestamp {
        self.login.unwrap_or(self.created)
    }

    /// The same session of an owner who chose, at this login, to stay logged in.
    pub fn remembered(self, login: Option<Timestamp>) -> Self {
        Self {
            remembered: login,
            ..self
        }
    }

    /// Until when its owner stays logged in, if they chose to.
    pub fn stays_until(&self, limits: Limits) -> Option<Timestamp> {
        limits.stay_until(self.remembered?)
    }

    /// When the last request came.
    pub fn last_seen(&self) -> Timestamp {
        Timestamp(self.last_seen.load(Ordering::Relaxed))
    }

    /// Notes a request.
    pub fn seen(&self, now: Timestamp) {
        self.last_seen.fetch_max(now.0, Ordering::Relaxed);
    }

    /// The same session, whose last request may have come later than is known here, by so much.
    pub fn known_late(self, by: Duration) -> Self {
        Self {
            late: by.as_secs(),
            ..self
        }
    }

    /// Whether it has been unused, or has existed, for too long.
    pub fn is_over(&self, limits: Limits, now: Timestamp) -> bool {
        match self.stays_until(limits) {
            Some(end) => now >= end,
            None => {
                let idle = limits.idle.saturating_add(Duration::from_secs(self.late));
                now.since(self.created) >= limits.max || now.since(self.last_seen()) >= idle
            }
        }
    }

    /// Whether it was begun by this account as it is now. Otherwise somebody who gets the name
    /// later, by registration or by an edit of the file, would find its former owner's sessions,
    /// and a thief's session would outlast the password.
    pub fn is_of(&self, account: &Account) -> bool {
        let rests_on_it = self.basis == account.basis()
            || (account.keeps(self.id) && self.basis.password_id == account.password_id());
        names::is_same(&self.username, &account.username) && rests_on_it
    }
}

/// All sessions, oldest first.
///
/// No `Debug`: they have a key.
#[derive(Clone, Default)]
pub struct Sessions {
    by_id: IndexMap<Digest, Arc<Session>>,
    /// What challenges of passkeys are known by; kept with the sessions, since it is as short-lived.
    challenge_key: Option<Arc<DigestKey>>,
    revision: u64,
}

impl Sessions {
    /// The session whose cookie has this digest.
    pub fn find(&self, id: Digest) -> Option<&Arc<Session>> {
        self.by_id.get(&id)
    }

    /// The sessions of one account, oldest first.
    pub fn of<'a>(&'a self, username: &'a str) -> impl Iterator<Item = &'a Arc<Session>> {
        self.by_id
            .values()
            .filter(move |session| names::is_same(&session.username, username))
    }

    /// Adds a session. The sessions of an account are bounded here too, since each is saved before
    /// the change that earns it and may be left behind on a disk that fails.
    pub fn add(&mut self, session: Arc<Session>) {
        let over = self.least_used(&session.username, 2 * MAX_PER_ACCOUNT - 1);
        self.end(&over);
        self.by_id.insert(session.id, session);
        self.revision += 1;
    }

    /// The ids of an account's least recently used sessions: as many as must go to leave `max`.
    pub fn least_used(&self, username: &str, max: usize) -> Vec<Digest> {
        let mut of_account: Vec<&Arc<Session>> = self.of(username).collect();
        of_account.sort_by_key(|session| session.last_seen());
        let over = of_account.len().saturating_sub(max);
        of_account
            .iter()
            .take(over)
            .map(|session| session.id)
            .collect()
    }

    /// Ends the sessions with these ids; unknown ids do no harm.
    pub fn end(&mut self, ids: &[Digest]) {
        if ids.iter().any(|id| self.by_id.contains_key(id)) {
            self.retain(|session| !ids.contains(&session.id));
        }
    }

    /// Keeps the sessions for which `keep` is true; gives the number of those ended.
    pub fn retain(&mut self, mut keep: impl FnMut(&Session) -> bool) -> usize {
        let before = self.by_id.len();
        self.by_id.retain(|_, session| keep(session));
        let ended = before - self.by_id.len();
        if ended > 0 {
            self.revision += 1;
        }
        ended
    }

    /// Ends sessions whose times lie in the future: they were made while the clock was wrong, and
    /// would last too long.
    pub fn drop_from_the_future(&mut self, now: Timestamp) {
        let latest = now.plus(DRIFT);
        self.retain(|session| session.created <= latest && session.last_seen() <= latest);
    }

    /// Ends sessions that are over, whose account is gone, or that do not rest on the account as it
    /// is. Young ones of the last kind may stay: another process may just be saving their account.
    pub fn prune(&mut self, accounts: &Accounts, limits: Limits, now: Timestamp) {
        self.retain(|session| {
            let account = accounts.find(&session.username);
            let young = now.since(session.created) < SETTLES;
            // Generations only grow, so no other process is just saving an older one.
            let is_over = |account: &Account| session.basis.generation < account.generation;
            let may_be = |account| session.is_of(account) || (young && !is_over(account));
            !session.is_over(limits, now) && account.is_some_and(|account| may_be(account))
        });
    }

    /// What challenges of passkeys are known by, if that is kept.
    pub fn challenge_key(&self) -> Option<&Arc<DigestKey>> {
        self.challenge_key.as_ref()
    }

    /// Keeps what challenges of passkeys are known by.
    pub fn keep_challenge_key(&mut self, key: Arc<DigestKey>) {
        self.challenge_key = Some(key);
        self.revision += 1;
    }

    /// All sessions, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Session>> {
        self.by_id.values()
    }

    /// How many sessions there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there are no sessions.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Differs before and after a change.
    pub fn revision(&self) -> u64 {
        self.revision
    }
}

impl FromIterator<Session> for Sessions {
    fn from_iter<I: IntoIterator<Item = Session>>(sessions: I) -> Self {
        let by_id = sessions
            .into_iter()
            .map(|session| (session.id, Arc::new(session)))
            .collect();
        Self {
            by_id,
            ..Self::default()
        }
    }
}

fn write_time<S: Serializer>(seconds: &AtomicU64, serializer: S) -> Result<S::Ok, S::Error> {
    Timestamp(seconds.load(Ordering::Relaxed)).serialize(serializer)
}

fn read_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<AtomicU64, D::Error> {
    Ok(AtomicU64::new(Timestamp::deserialize(deserializer)?.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        idle: Duration::from_secs(3600),
        max: Duration::from_secs(86400),
        remember: Duration::from_secs(30 * 86_400),
    };

    fn session(name: &str, secret: &str, now: u64) -> Session {
        let address = "127.0.0.1".to_owned();
        let account = (
            name,
            Basis {
                password_id: Digest::of("hash"),
                generation: 0,
            },
        );
        Session::new(
            Digest::of(secret),
            account,
            address,
            "Firefox",
            Timestamp(now),
        )
    }

    #[test]
    fn a_session_ends_when_unused() {
        let session = session("alice", "a", 1000);
        assert!(!session.is_over(LIMITS, Timestamp(4599)));
        assert!(session.is_over(LIMITS, Timestamp(4600)));
    }

    #[test]
    fn a_session_that_stays_lasts_as_long_as_it_is_told_now() {
        let stays = session("alice", "a", 1000).remembered(Some(Timestamp(500)));
        assert!(!stays.is_over(LIMITS, Timestamp(500 + 30 * 86_400 - 1)));
        assert!(stays.is_over(LIMITS, Timestamp(500 + 30 * 86_400)));
        let shorter = Limits {
            remember: Duration::from_secs(60),
            ..LIMITS
        };
        assert!(stays.is_over(shorter, Timestamp(560)));
        let off = Limits {
            remember: Duration::ZERO,
            ..LIMITS
        };
        assert!(!stays.is_over(off, Timestamp(4599)));
        assert!(stays.is_over(off, Timestamp(4600)));
    }

    #[test]
    fn a_session_ends_however_much_it_is_used() {
        let session = session("alice", "a", 1000);
        session.seen(Timestamp(87_000));
        assert!(!session.is_over(LIMITS, Timestamp(87_399)));
        assert!(session.is_over(LIMITS, Timestamp(87_400)));
    }

    #[test]
    fn a_session_is_of_one_account_and_one_password() {
        let hash = |salt: &str| format!("$pbkdf2-sha256$i=1,l=32${salt}${}", "A".repeat(43));
        let hash = |salt: &str| PasswordHash::parse(&hash(salt)).ok().unwrap();
        let account = |name, salt| Account::new(name, "a@b.c", hash(salt), Timestamp(1000));
        let owner = (
            "alice",
            Basis {
                password_id: hash("AAAA").id(),
                generation: 0,
            },
        );
        let address = "127.0.0.1".to_owned();
        let session = Session::new(Digest::of("a"), owner, address, "Firefox", Timestamp(1000));

        assert!(session.is_of(&account("Alice", "AAAA")));
        assert!(
            !session.is_of(&account("alice", "BBBB")),
            "another password"
        );
        assert!(!session.is_of(&account("bob", "AAAA")), "another name");
        let ended = Account {
            generation: 1,
            ..account("alice", "AAAA")
        };
        assert!(!session.is_of(&ended), "all sessions were ended");
    }

    #[test]
    fn the_least_used_session_makes_room() {
        let mut sessions = Sessions::default();
        for n in 0..MAX_PER_ACCOUNT {
            sessions.add(session("alice", &n.to_string(), 1000 + n as u64).into());
        }
        sessions
            .find(Digest::of("0"))
            .unwrap()
            .seen(Timestamp(5000));
        assert!(sessions.least_used("alice", MAX_PER_ACCOUNT).is_empty());
        sessions.add(session("Alice", "new", 6000).into());
        assert_eq!(sessions.of("alice").count(), MAX_PER_ACCOUNT + 1);
        let least_used = sessions.least_used("alice", MAX_PER_ACCOUNT);
        assert!(least_used == [Digest::of("1")]);
    }

    #[test]
    fn sessions_that_are_never_handed_out_do_not_become_many() {
        let mut sessions = Sessions::default();
        for n in 0..5 * MAX_PER_ACCOUNT {
            sessions.add(session("alice", &n.to_string(), 1000 + n as u64).into());
        }
        assert_eq!(sessions.len(), 2 * MAX_PER_ACCOUNT);
    }

    #[test]
    fn the_end_of_the_others_is_outlived_by_the_session_that_asked_for_it() {
        let hash = format!("$pbkdf2-sha256$i=1,l=32$AAAA${}", "A".repeat(43));
        let hash = PasswordHash::parse(&hash).ok().unwrap();
        let mut account = Account::new("alice", "a@b.c", hash, Timestamp(1000));
        let begun = |account: &Account, secret: &str| {
            let owner = ("alice", account.basis());
            let address = "127.0.0.1".to_owned();
            Session::new(Digest::of(secret), owner, address, "curl", Timestamp(1000))
        };
        let (own, other) = (begun(&account, "own"), begun(&account, "other"));

        account.end_others(own.id, None);
        let later = begun(&account, "later");
        assert!(own.is_of(&account) && !other.is_of(&account) && later.is_of(&account));

        let other_password =
            PasswordHash::parse(&format!("$pbkdf2-sha256$i=1,l=32$BBBB${}", "A".repeat(43)));
        let changed = Account {
            password: other_password.ok(),
            ..account.clone()
        };
        assert!(!own.is_of(&changed), "another password");
        account.end_others(later.id, None);
        assert!(!own.is_of(&account) && later.is_of(&account), "asked again");
        account.generation += 1;
        assert!(!later.is_of(&account), "ended by hand");
    }
}
