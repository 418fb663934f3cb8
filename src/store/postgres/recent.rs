//! Sessions and their accounts as they were read lately. An entry says yes only if a read of it
//! began less than a second ago; it never says no. One thread reads again what is in use, in one
//! question for many, so a session that is asked about all the time costs no question of its own, and
//! one that was ended elsewhere is known to be within a second, however long a question takes.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::accounts::session::Session;
use crate::accounts::token::Digest;
use crate::accounts::{Account, names};
use crate::clock::Timestamp;
use crate::store::{Unavailable, Who};

/// How old the beginning of a read may be: what ends a session is known everywhere by then.
pub(super) const FRESH: Duration = Duration::from_secs(1);

/// How old it may be while the database does not answer: applications stay open for that long.
pub(super) const LASTING: Duration = Duration::from_secs(5);

/// How old it may become before an entry that was used since is read again: early enough that it is
/// fresh at the next use even where that read takes long.
const AGAIN: Duration = Duration::from_millis(500);

/// The same for one that nobody has used since. Most sessions are asked about in bursts: should a read
/// be late now and then, a question at the next use costs less than to read them all more often.
const AGAIN_UNUSED: Duration = Duration::from_millis(750);

/// How long an entry is kept true after it was last used.
const IN_USE: Duration = Duration::from_secs(12);

/// Most entries. With more sessions in use some cost a question each.
const MOST: usize = 100_000;

/// The owners of access tokens as they were read last, for the seconds in which the database does not
/// answer.
#[derive(Default)]
pub(super) struct Owners(Mutex<HashMap<Digest, (Arc<Account>, Instant)>>);

/// Most owners: each may have many tokens, and few are in use.
const MOST_OWNERS: usize = 10_000;

impl Owners {
    /// Takes what a question about a token has found, which began `now`, and gives it back; what was
    /// found last, if nothing could be read and that began a little before `now`.
    pub(super) fn of_late(
        &self,
        token: Digest,
        read: Result<Option<Arc<Account>>, Unavailable>,
        now: Instant,
    ) -> Result<Option<Arc<Account>>, Unavailable> {
        // Every change is done in one step.
        let mut owners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_late = |at: Instant| now.saturating_duration_since(at) < LASTING;
        match &read {
            Ok(Some(owner)) => {
                if owners.len() >= MOST_OWNERS {
                    owners.retain(|_, (_, at)| is_late(*at));
                }
                if owners.len() < MOST_OWNERS {
                    owners.insert(token, (Arc::clone(owner), now));
                }
            }
            Ok(None) => drop(owners.remove(&token)),
            Err(_) => {
                if let Some((owner, at)) = owners.get(&token)
                    && is_late(*at)
                {
                    return Ok(Some(Arc::clone(owner)));
                }
            }
        }
        read
    }
}

/// The entries.
///
/// No `Debug`: it has accounts in it.
#[derive(Default)]
pub(super) struct Recent(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    /// By the digest of the cookie.
    entries: HashMap<Digest, Entry>,
    /// The digests by the name of the account in lower case.
    by_name: HashMap<String, HashSet<Digest>>,
}

impl Kept {
    fn insert(&mut self, id: Digest, entry: Entry) {
        let name = names::key(&entry.who.0.username).into_owned();
        self.by_name.entry(name).or_default().insert(id);
        self.entries.insert(id, entry);
    }

    fn retain(&mut self, keep: impl Fn(&Entry) -> bool) {
        let Self { entries, by_name } = self;
        entries.retain(|id, entry| {
            let is_kept = keep(entry);
            let name = names::key(&entry.who.0.username);
            if !is_kept && let Some(ids) = by_name.get_mut(name.as_ref()) {
                ids.remove(id);
                if ids.is_empty() {
                    by_name.remove(name.as_ref());
                }
            }
            is_kept
        });
    }
}

struct Entry {
    who: Who,
    version: Version,
    /// When the last read of it began; `None` if it counts no more.
    read: Option<Instant>,
    used: Instant,
    /// The last use that is in the database, seconds since 1970.
    saved: u64,
}

impl Entry {
    /// Whether it is to be read again.
    fn is_due(&self, now: Instant) -> bool {
        let is_older = |than: Duration, then: Instant| now.saturating_duration_since(then) >= than;
        self.read.is_some_and(|read| {
            let again = match self.used > read {
                true => AGAIN,
                false => AGAIN_UNUSED,
            };
            is_older(again, read) && !is_older(IN_USE, self.used)
        })
    }
}

/// What differs once an account is another.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Version {
    pub(super) account: String,
    pub(super) revision: i64,
}

impl Recent {
    /// The session and its account, if a read of them began less than `within` ago.
    pub(super) fn get(&self, id: Digest, within: Duration, now: Instant) -> Option<Who> {
        let mut kept = self.kept();
        let entry = kept.entries.get_mut(&id)?;
        let read = entry.read?;
        if now.saturating_duration_since(read) >= within {
            return None;
        }
        entry.used = now;
        Some(entry.who.clone())
    }

    /// Keeps what a read gave that began then. Gives it back, with what else is known of the last
    /// use.
    pub(super) fn put(&self, who: Who, version: Version, began: Instant) -> Who {
        let id = who.0.id;
        let mut kept = self.kept();
        let before = kept.entries.get(&id);
        if before.is_none() && kept.entries.len() >= MOST {
            kept.retain(|entry| began.saturating_duration_since(entry.used) < IN_USE);
            if kept.entries.len() >= MOST {
                return who;
            }
        }
        let before = kept.entries.get(&id);
        if let Some(before) = before {
            who.0.seen(before.who.0.last_seen());
        }
        // A question that took longer than another does not undo what that has found.
        if before.is_none_or(|before| before.read.is_none_or(|read| read <= began)) {
            let saved = before.map_or(who.0.last_seen().0, |before| before.saved);
            let entry = Entry {
                who: who.clone(),
                version,
                read: Some(began),
                used: began,
                saved,
            };
            kept.insert(id, entry);
        }
        who
    }

    /// What this node has changed itself counts no more: sessions with these ids, and all of the
    /// accounts with these names.
    pub(super) fn forget(&self, ids: &[Digest], keys: &[String]) {
        let kept = &mut *self.kept();
        let of_accounts = keys
            .iter()
            .filter_map(|key| kept.by_name.get(key))
            .flatten();
        for id in ids.iter().chain(of_accounts) {
            if let Some(entry) = kept.entries.get_mut(id) {
                entry.read = None;
            }
        }
    }

    /// What is to be read again at this moment.
    pub(super) fn due(&self, now: Instant) -> Vec<Digest> {
        let kept = self.kept();
        let due = kept.entries.iter().filter(|(_, entry)| entry.is_due(now));
        due.map(|(id, _)| *id).collect()
    }

    /// Takes what a read of these has found that began then, in their order.
    pub(super) fn renew(
        &self,
        ids: &[Digest],
        found: Vec<Option<(Version, Timestamp)>>,
        began: Instant,
    ) {
        let mut kept = self.kept();
        for (id, found) in ids.iter().zip(found) {
            let Some(entry) = kept.entries.get_mut(id) else {
                continue;
            };
            // Read since then, or forgotten: this is older.
            if entry.read.is_none_or(|read| read > began) {
                continue;
            }
            entry.read = match found {
                Some((version, last_seen)) if version == entry.version => {
                    entry.who.0.seen(last_seen);
                    entry.saved = entry.saved.max(last_seen.0);
                    Some(began)
                }
                _ => None,
            };
        }
    }

    /// The sessions that were used since their last use was saved, with that.
    pub(super) fn unsaved(&self) -> Vec<Arc<Session>> {
        let kept = self.kept();
        let used = kept.entries.values();
        let used = used.filter(|entry| entry.who.0.last_seen().0 > entry.saved);
        used.map(|entry| Arc::clone(&entry.who.0)).collect()
    }

    /// Notes that these last uses are in the database, and lets go of what is not in use.
    pub(super) fn saved(&self, uses: &[(Digest, u64)], now: Instant) {
        let mut kept = self.kept();
        for (id, saved) in uses {
            if let Some(entry) = kept.entries.get_mut(id) {
                entry.saved = entry.saved.max(*saved);
            }
        }
        kept.retain(|entry| {
            entry.who.0.last_seen().0 > entry.saved
                || now.saturating_duration_since(entry.used) < IN_USE
        });
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Every change of an entry is done in one step.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::{account, session};

    const AT: Timestamp = Timestamp(1_800_000_000);

    fn who() -> Who {
        (session("s", "alice", AT).into(), account("alice").into())
    }

    fn version(revision: i64) -> Version {
        Version {
            account: "alice000000000000000000000".to_owned(),
            revision,
        }
    }

    fn id() -> Digest {
        Digest::of("s")
    }

    /// An entry, and when the read of it began.
    fn with_entry() -> (Recent, Instant) {
        let (recent, began) = (Recent::default(), Instant::now());
        recent.put(who(), version(1), began);
        (recent, began)
    }

    fn after(began: Instant, milliseconds: u64) -> Instant {
        began + Duration::from_millis(milliseconds)
    }

    #[test]
    fn the_owner_of_a_token_outlasts_the_database_for_some_seconds_and_no_end_that_is_known() {
        let (owners, began, token) = (Owners::default(), Instant::now(), Digest::of("t"));
        let owner = || Ok(Some(Arc::new(account("alice"))));
        let is_known = |at| {
            let found = owners.of_late(token, Err(Unavailable), after(began, at));
            found.is_ok_and(|owner| owner.is_some())
        };
        assert!(!is_known(0));

        owners.of_late(token, owner(), began).unwrap();

        assert!(is_known(4999));
        assert!(!is_known(5000));
        owners.of_late(token, owner(), began).unwrap();
        owners.of_late(token, Ok(None), began).unwrap();
        assert!(!is_known(1));
    }

    #[test]
    fn an_entry_counts_for_less_than_a_second_from_the_beginning_of_its_read() {
        let (recent, began) = with_entry();

        assert!(recent.get(id(), FRESH, after(began, 999)).is_some());
        assert!(recent.get(id(), FRESH, after(began, 1000)).is_none());
        assert!(recent.get(Digest::of("other"), FRESH, began).is_none());
    }

    #[test]
    fn an_entry_that_nobody_could_read_again_lasts_a_little_longer_unless_it_is_known_to_be_over() {
        let (recent, began) = with_entry();

        assert!(recent.get(id(), LASTING, after(began, 4999)).is_some());
        assert!(recent.get(id(), LASTING, after(began, 5000)).is_none());
        recent.renew(&[id()], vec![None], after(began, 500));
        assert!(recent.get(id(), LASTING, after(began, 600)).is_none());
    }

    #[test]
    fn what_is_read_again_and_is_the_same_counts_on() {
        let (recent, began) = with_entry();
        let found = vec![Some((version(1), AT))];

        recent.renew(&[id()], found, after(began, 500));

        assert!(recent.get(id(), FRESH, after(began, 1499)).is_some());
        assert!(recent.get(id(), FRESH, after(began, 1500)).is_none());
    }

    #[test]
    fn what_is_used_is_read_again_before_it_is_too_old_and_what_is_not_a_little_later() {
        let (recent, began) = with_entry();
        assert!(recent.due(after(began, 749)).is_empty());
        assert_eq!(recent.due(after(began, 750)), [id()]);

        recent.get(id(), FRESH, after(began, 1));
        assert!(recent.due(after(began, 499)).is_empty());
        assert_eq!(recent.due(after(began, 500)), [id()]);

        recent.renew(&[id()], vec![Some((version(1), AT))], after(began, 500));
        assert!(recent.due(after(began, 1249)).is_empty());
        assert_eq!(recent.due(after(began, 1250)), [id()]);
        assert_eq!(recent.due(after(began, 12_000)), [id()]);
        assert!(recent.due(after(began, 12_001)).is_empty());
    }

    #[test]
    fn what_is_gone_or_another_counts_no_more() {
        for found in [None, Some((version(2), AT))] {
            let (recent, began) = with_entry();

            recent.renew(&[id()], vec![found], after(began, 500));

            assert!(recent.get(id(), FRESH, after(began, 501)).is_none());
            assert!(recent.due(after(began, 5000)).is_empty());
        }
    }

    #[test]
    fn an_older_read_changes_nothing() {
        let (recent, began) = with_entry();
        recent.put(who(), version(2), after(began, 500));

        recent.renew(&[id()], vec![None], after(began, 400));
        recent.put(who(), version(1), after(began, 300));
        let found = vec![Some((version(2), AT))];
        recent.renew(&[id()], found, after(began, 600));

        assert!(recent.get(id(), FRESH, after(began, 1599)).is_some());
    }

    #[test]
    fn what_this_node_changed_counts_no_more_and_no_older_read_brings_it_back() {
        let forget_session = |recent: &Recent| recent.forget(&[id()], &[]);
        let forget_account = |recent: &Recent| recent.forget(&[], &["alice".to_owned()]);
        for forget in [forget_session, forget_account as fn(&Recent)] {
            let (recent, began) = with_entry();

            forget(&recent);

            assert!(recent.get(id(), FRESH, began).is_none());
            recent.renew(&[id()], vec![Some((version(1), AT))], after(began, 1));
            assert!(recent.get(id(), FRESH, after(began, 2)).is_none());
        }
    }

    #[test]
    fn the_last_use_outlives_a_new_read_until_it_is_saved() {
        let (recent, began) = with_entry();
        let (session, _) = recent.get(id(), FRESH, began).unwrap();
        session.seen(AT.plus(Duration::from_secs(60)));

        let (session, _) = recent.put(who(), version(2), after(began, 500));

        assert_eq!(session.last_seen(), AT.plus(Duration::from_secs(60)));
        let unsaved = recent.unsaved();
        assert_eq!(unsaved.len(), 1);
        recent.saved(&[(id(), AT.0 + 60)], after(began, 600));
        assert!(recent.unsaved().is_empty());
        assert!(recent.get(id(), FRESH, after(began, 600)).is_some());
        // Not in use for long.
        recent.saved(&[], after(began, 20_000));
        assert!(recent.kept().entries.is_empty());
        assert!(recent.kept().by_name.is_empty());
    }
}
