//! Unfinished logins: the password was right, and the code has yet to come.
//!
//! They last five minutes, count as a session nowhere, and are used once. What ends one is a change
//! of its account ([`Person`](crate::accounts::person::Person)), so that both happen or neither;
//! where they are kept is up to the store. The table here is for a store in files.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::accounts::login::SecondStep;
use crate::accounts::session::Basis;
use crate::accounts::token::Digest;
use crate::accounts::totp::Secret;
use crate::accounts::{Account, names};
use crate::clock::Timestamp;

/// How long a login waits for its code.
pub const LIFETIME: Duration = Duration::from_secs(5 * 60);

/// Wrong codes after which the password is asked for again.
pub const MAX_WRONG_CODES: u32 = 5;

/// Most of what is pending: more than hashing allows to begin within its lifetime on 16 cores.
pub const MAX_PENDING: usize = 50_000;

/// A login whose password was right, and which waits for a code.
#[derive(Clone, Deserialize, Serialize)]
pub struct PendingLogin {
    /// As the account's owner wrote it.
    pub username: String,
    /// What the login rests on. The account must still have it when the code comes; otherwise the
    /// password has changed, everything was ended, or another account has the name.
    pub basis: Basis,
    /// The key to enrol, if the account has no second factor yet. It is kept nowhere else, and with
    /// the rest only where that is in memory.
    #[serde(skip)]
    pub enrolling: Option<Secret>,
    /// The password was a mailed one, with this digest: it leads to choosing a new one.
    pub mailed: Option<Digest>,
    /// The address that was mailed to, if the password was a mailed one.
    address: Option<String>,
    /// Where the visitor wanted to go, already validated; may be empty.
    pub rd: String,
    /// Whether the visitor chose to stay logged in.
    pub remember: bool,
    /// Counted with the rest only where that is in memory.
    #[serde(skip)]
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

    /// With the key to enrol, where that was kept apart.
    pub fn to_enrol(self, enrolling: Option<Secret>) -> Self {
        Self { enrolling, ..self }
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
#[derive(Clone, Deserialize, Serialize)]
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

/// What waits for its next step.
#[derive(Clone)]
pub enum Stage {
    /// By the digest of the login's cookie.
    Code(PendingLogin),
    /// By the digest of a cookie of its own.
    Choice(PendingChoice),
    /// By the digest of the session's cookie.
    Move(PendingMove),
}

impl Stage {
    /// Whose it is, as the account's owner wrote it.
    pub fn username(&self) -> &str {
        match self {
            Self::Code(login) => &login.username,
            Self::Choice(choice) => &choice.username,
            Self::Move(moving) => &moving.username,
        }
    }
}

/// What a change of an account makes of what is pending, in the same save.
#[derive(Clone, Default)]
pub struct Effect {
    /// What waits under this id has ended.
    pub ends: Option<Digest>,
    /// The code for what waits under this id was wrong; the last one allowed ends it.
    pub was_wrong: Option<Digest>,
    /// All that is pending for the account with this name ends.
    pub forgets: Option<String>,
    /// What begins to wait, after all that has ended.
    pub begins: Option<Begun>,
}

/// What begins to wait.
#[derive(Clone)]
pub struct Begun {
    pub id: Digest,
    pub stage: Stage,
    pub at: Timestamp,
}

impl Effect {
    /// Something begins to wait; what waited under the same id is forgotten.
    pub fn begin(id: Digest, stage: Stage, at: Timestamp) -> Self {
        Self {
            begins: Some(Begun { id, stage, at }),
            ..Self::default()
        }
    }

    /// Ends a login whose code was right, and begins a choice of a new password under another id.
    /// Nothing but the end comes of one that did not begin with a mailed password.
    pub fn must_choose(&mut self, login: &PendingLogin, by: SecondStep, ids: Ids, at: Timestamp) {
        self.ends = Some(ids.before);
        let Some(mailed) = login.mailed else {
            return;
        };
        let choice = PendingChoice {
            username: login.username.clone(),
            basis: login.basis,
            mailed,
            address: login.address.clone(),
            rd: login.rd.clone(),
            remember: login.remember,
            by,
        };
        self.begins = Some(Begun {
            id: ids.after,
            stage: Stage::Choice(choice),
            at,
        });
    }
}

/// The digests of the two cookies of a login by mailed password: neither stands in for the other.
#[derive(Clone, Copy)]
pub struct Ids {
    pub before: Digest,
    pub after: Digest,
}

/// A bounded table of what is pending, by the digest of a cookie.
#[derive(Default)]
pub struct Pending(Mutex<HashMap<Digest, Entry>>);

struct Entry {
    begun: Timestamp,
    stage: Stage,
    /// By a change that is about to end it.
    held: Option<Weak<()>>,
}

/// The claim of one change to what it is about to end: while that is being saved, nobody else finds
/// it. It ends with the last copy.
#[derive(Clone, Default)]
pub struct Hold(Arc<()>);

impl Pending {
    /// What waits under this id.
    pub fn find(&self, id: Digest, now: Timestamp) -> Option<Stage> {
        let live = |entry: &&Entry| now.since(entry.begun) < LIFETIME;
        let all = self.all();
        all.get(&id).filter(live).map(|entry| entry.stage.clone())
    }

    /// As [`Pending::find`], and holds it. `None` also while another change holds it.
    pub fn hold(&self, id: Digest, now: Timestamp, hold: &Hold) -> Option<Stage> {
        let mut all = self.all();
        let entry = all.get_mut(&id)?;
        let holder = entry.held.as_ref().and_then(Weak::upgrade);
        let is_free = holder.is_none_or(|holder| Arc::ptr_eq(&holder, &hold.0));
        if !is_free || now.since(entry.begun) >= LIFETIME {
            return None;
        }
        entry.held = Some(Arc::downgrade(&hold.0));
        Some(entry.stage.clone())
    }

    /// Lets go of what is not to end after all.
    pub fn let_go(&self, id: Digest, hold: &Hold) {
        let is_own = |held: &Weak<()>| held.as_ptr() == Arc::as_ptr(&hold.0);
        if let Some(entry) = self.all().get_mut(&id)
            && entry.held.as_ref().is_some_and(is_own)
        {
            entry.held = None;
        }
    }

    /// Does what a change that is saved has made of it.
    pub fn apply(&self, effect: Effect) {
        let Effect {
            ends,
            was_wrong,
            forgets,
            begins,
        } = effect;
        let mut all = self.all();
        if let Some(id) = was_wrong {
            count_wrong_code(&mut all, id);
        }
        if let Some(id) = ends {
            all.remove(&id);
        }
        if let Some(username) = forgets {
            let name = names::key(&username);
            all.retain(|_, entry| names::key(entry.stage.username()) != name);
        }
        if let Some(begun) = begins {
            insert(&mut all, begun);
        }
    }

    /// Each change is one insertion or removal, so a panic elsewhere leaves the table whole.
    fn all(&self) -> MutexGuard<'_, HashMap<Digest, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count_wrong_code(all: &mut HashMap<Digest, Entry>, id: Digest) {
    if let Some(entry) = all.get_mut(&id)
        && let Stage::Code(login) = &mut entry.stage
    {
        login.wrong_codes += 1;
        if login.wrong_codes >= MAX_WRONG_CODES {
            all.remove(&id);
        }
    }
}

fn insert(all: &mut HashMap<Digest, Entry>, Begun { id, stage, at }: Begun) {
    if all.len() >= MAX_PENDING {
        all.retain(|_, entry| at.since(entry.begun) < LIFETIME);
    }
    if all.len() >= MAX_PENDING {
        let oldest = all.iter().min_by_key(|(_, entry)| entry.begun);
        let oldest = oldest.map(|(id, _)| *id);
        oldest.map(|id| all.remove(&id));
    }
    let entry = Entry {
        begun: at,
        stage,
        held: None,
    };
    all.insert(id, entry);
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

    /// A table in which `alice` waits for a code since the time 1000, under `id()`.
    fn pending() -> Pending {
        let pending = Pending::default();
        pending.apply(Effect::begin(id(), Stage::Code(login()), Timestamp(1000)));
        pending
    }

    fn id() -> Digest {
        Digest::of("cookie")
    }

    fn waits(pending: &Pending) -> bool {
        pending.find(id(), Timestamp(1000)).is_some()
    }

    #[test]
    fn a_pending_login_lives_five_minutes() {
        let pending = pending();
        assert!(pending.find(id(), Timestamp(1299)).is_some());
        assert!(pending.find(id(), Timestamp(1300)).is_none());
        let late = Hold::default();
        assert!(pending.hold(id(), Timestamp(1300), &late).is_none());
    }

    #[test]
    fn the_fifth_wrong_code_ends_it() {
        let pending = pending();
        let wrong = || {
            pending.apply(Effect {
                was_wrong: Some(id()),
                ..Effect::default()
            });
        };
        for _ in 0..4 {
            wrong();
        }
        assert!(waits(&pending));
        wrong();
        assert!(!waits(&pending));
    }

    #[test]
    fn the_two_stages_have_two_cookies_and_neither_stands_in_for_the_other() {
        let (pending, after) = (pending(), Digest::of("after"));
        let ids = Ids {
            before: id(),
            after,
        };
        let mut effect = Effect::default();
        effect.must_choose(&login(), SecondStep::Code, ids, Timestamp(1000));
        pending.apply(effect);

        assert!(!waits(&pending));
        let stage = pending.find(after, Timestamp(1000));
        assert!(matches!(stage, Some(Stage::Choice(_))));
    }

    #[test]
    fn an_account_is_forgotten_in_any_spelling() {
        let pending = pending();
        pending.apply(Effect {
            forgets: Some("ALICE".to_owned()),
            ..Effect::default()
        });
        assert!(!waits(&pending));
    }

    #[test]
    fn what_one_change_is_about_to_end_no_other_finds() {
        let (pending, now) = (pending(), Timestamp(1000));
        let (one, other) = (Hold::default(), Hold::default());
        assert!(pending.hold(id(), now, &one).is_some());
        // A change may be made again before it is saved.
        assert!(pending.hold(id(), now, &one).is_some());
        assert!(pending.hold(id(), now, &other).is_none());
        pending.let_go(id(), &other);
        assert!(pending.hold(id(), now, &other).is_none(), "not its own");

        // It was not saved.
        drop(one);
        assert!(pending.hold(id(), now, &other).is_some());
        pending.let_go(id(), &other);
        assert!(pending.hold(id(), now, &Hold::default()).is_some());
    }
}
