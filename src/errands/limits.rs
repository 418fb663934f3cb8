//! Limits on the notices of an hour. New passwords have their own limit, kept with the account.
//!
//! A process that is alone counts what it has written. Of several each counts first, for all of
//! them, and takes back what could not be written.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::accounts::names;
use crate::accounts::throttle::Key;
use crate::accounts::token::Digest;
use crate::network::Network;
use crate::store::Unavailable;
use crate::store::counts::Counts;

/// Most notices that one account causes within an hour.
const PER_ACCOUNT: usize = 20;

/// Most notices to one address within an hour, whatever accounts they are about.
const PER_ADDRESS: usize = 20;

const HOUR: Duration = Duration::from_secs(3600);

/// Most accounts and addresses that are counted: far more than are mailed within an hour.
const MAX_ROWS: usize = 10_000;

/// What a mail counts for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mailing {
    Notice(Counted),
    /// By this network, to an address that nobody has proven.
    Confirmation(Network, Counted),
    /// The same, which is a notice of the account alone besides.
    Change(Network, Counted),
}

/// A mail for which there is room.
pub(super) struct Room {
    mailing: Mailing,
    now: Duration,
    /// When it was counted, where that is done first.
    counted: Option<Duration>,
}

/// All that is counted of mails.
pub(super) struct Shares {
    notices: Limits,
    unproven: Unproven,
    /// Where several processes count together.
    together: Option<Counts>,
}

impl Shares {
    /// `counts` are those that go with the store.
    pub(super) fn new(counts: Counts) -> Self {
        Self {
            notices: Limits::default(),
            unproven: Unproven::default(),
            together: counts.ask_again().map(|_| counts),
        }
    }

    /// Whether one more may be mailed; `None` if that would be too many.
    pub(super) fn room(
        &mut self,
        mailing: Mailing,
        now: Duration,
    ) -> Result<Option<Room>, Unavailable> {
        let room = |counted| Room {
            mailing,
            now,
            counted,
        };
        if let Some(counts) = &self.together {
            let counted = counts.mail(&mailing.rows())?;
            return Ok(counted.map(|at| room(Some(at))));
        }
        let has_room = match mailing {
            Mailing::Notice(whose) => self.notices.has_room(whose, now),
            Mailing::Confirmation(asker, whose) => self.unproven.has_room(asker, whose, now),
            Mailing::Change(asker, whose) => {
                self.unproven.has_room(asker, whose, now)
                    && self.notices.has_room_for_account(whose, now)
            }
        };
        Ok(has_room.then(|| room(None)))
    }

    /// Counts a mail if it was written.
    pub(super) fn settle(&mut self, room: &Room, is_written: bool) {
        let Room {
            mailing,
            now,
            counted,
        } = *room;
        match (&self.together, counted) {
            (Some(counts), Some(at)) if !is_written => {
                counts.take_mail_back(&mailing.rows(), at);
            }
            (None, _) if is_written => match mailing {
                Mailing::Notice(whose) => self.notices.add(whose, now),
                Mailing::Confirmation(asker, whose) => self.unproven.add(asker, whose, now),
                Mailing::Change(asker, whose) => {
                    self.unproven.add(asker, whose, now);
                    self.notices.add_for_account(whose, now);
                }
            },
            _ => {}
        }
    }
}

impl Mailing {
    /// Where it counts among several processes, with the limits.
    fn rows(self) -> Vec<(Key, u32)> {
        let limit = |most: usize| u32::try_from(most).unwrap_or(u32::MAX);
        let (account, address) = (limit(PER_ACCOUNT), limit(PER_ADDRESS));
        let unproven = |asker: Network, whose: Counted| {
            [
                (Key::Unproven(whose.account), account),
                (Key::Unproven(whose.address), address),
                (Key::UnprovenFrom(asker), limit(UNPROVEN_PER_NETWORK)),
                (Key::UnprovenInAll, limit(UNPROVEN)),
            ]
        };
        match self {
            Self::Notice(whose) => vec![
                (Key::Mailed(whose.account), account),
                (Key::Mailed(whose.address), address),
            ],
            Self::Confirmation(asker, whose) => unproven(asker, whose).to_vec(),
            Self::Change(asker, whose) => {
                let mut rows = unproven(asker, whose).to_vec();
                // What somebody else has mailed to an address must not keep its owner from being
                // told of their own account.
                rows.push((Key::Mailed(whose.account), account));
                rows
            }
        }
    }
}

/// What was mailed within the last hour. Times are those of the steady clock.
#[derive(Default)]
pub(super) struct Limits {
    mailed: HashMap<Digest, Vec<Duration>>,
}

/// The account and the address that a notice is counted for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    account: Digest,
    address: Digest,
}

impl Counted {
    pub(super) fn new(username: &str, address: &str) -> Self {
        // No username has an `@`, so neither is taken for the other.
        Self {
            account: Digest::of(&names::key(username)),
            address: Digest::of(&mailbox(address)),
        }
    }
}

/// What the spellings of one mailbox have in common: neither case nor what follows a `+` counts,
/// since one person reads them all.
fn mailbox(address: &str) -> String {
    let address = names::key(&names::ascii_domain(address)).into_owned();
    match address.split_once('@') {
        Some((local, domain)) => {
            let local = local.split('+').next().unwrap_or(local);
            format!("{local}@{domain}")
        }
        None => address,
    }
}

impl Limits {
    /// Whether one more may be mailed.
    pub(super) fn has_room(&self, whose: Counted, now: Duration) -> bool {
        self.count(whose.account, now) < PER_ACCOUNT && self.count(whose.address, now) < PER_ADDRESS
    }

    /// As [`Limits::has_room`], of the account alone.
    pub(super) fn has_room_for_account(&self, whose: Counted, now: Duration) -> bool {
        self.count(whose.account, now) < PER_ACCOUNT
    }

    /// Counts one that was mailed.
    pub(super) fn add(&mut self, whose: Counted, now: Duration) {
        self.add_to(whose.account, now);
        self.add_to(whose.address, now);
    }

    /// Counts one that was mailed for the account alone: what somebody else has mailed to an
    /// address must not keep its owner from being told of their own account.
    pub(super) fn add_for_account(&mut self, whose: Counted, now: Duration) {
        self.add_to(whose.account, now);
    }

    fn add_to(&mut self, key: Digest, now: Duration) {
        self.make_room(key, now);
        let times = self.mailed.entry(key).or_default();
        times.retain(|time| is_of_late(*time, now));
        times.push(now);
    }

    fn count(&self, key: Digest, now: Duration) -> usize {
        let times = self.mailed.get(&key).map_or(&[][..], Vec::as_slice);
        times.iter().filter(|time| is_of_late(**time, now)).count()
    }

    /// Forgets first whoever was mailed longest ago; nobody is refused for want of room.
    fn make_room(&mut self, key: Digest, now: Duration) {
        if self.mailed.len() < MAX_ROWS || self.mailed.contains_key(&key) {
            return;
        }
        self.mailed
            .retain(|_, times| times.iter().any(|time| is_of_late(*time, now)));
        if self.mailed.len() >= MAX_ROWS {
            let oldest = self.mailed.iter().min_by_key(|(_, times)| times.last());
            let oldest = oldest.map(|(key, _)| *key);
            oldest.map(|key| self.mailed.remove(&key));
        }
    }
}

/// Most confirmations that one network may cause within an hour: anybody can give anybody's address.
const UNPROVEN_PER_NETWORK: usize = 20;

/// Most confirmations within an hour in all.
const UNPROVEN: usize = 200;

/// Confirmations mailed within the last hour. They use up no notices.
#[derive(Default)]
pub(super) struct Unproven {
    /// With the networks that caused them.
    mailed: VecDeque<(Duration, Network)>,
    /// Of one account, and to one address.
    limits: Limits,
}

impl Unproven {
    /// Whether one more may be mailed for this network.
    pub(super) fn has_room(&mut self, asker: Network, whose: Counted, now: Duration) -> bool {
        self.mailed.retain(|(time, _)| is_of_late(*time, now));
        let of_asker = self.mailed.iter().filter(|(_, network)| *network == asker);
        self.mailed.len() < UNPROVEN
            && of_asker.count() < UNPROVEN_PER_NETWORK
            && self.limits.has_room(whose, now)
    }

    /// Counts one that was mailed.
    pub(super) fn add(&mut self, asker: Network, whose: Counted, now: Duration) {
        self.mailed.push_back((now, asker));
        self.limits.add(whose, now);
    }
}

fn is_of_late(time: Duration, now: Duration) -> bool {
    now.saturating_sub(time) < HOUR
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::Store;

    fn mailing() -> impl Strategy<Value = (Mailing, bool)> {
        let asker = (0..12_u8).prop_map(|n| Network::of([192, 0, 2, n].into()));
        let whose = (0..12_u8, 0..12_u8)
            .prop_map(|(n, m)| Counted::new(&format!("user{n}"), &format!("m{m}@example.com")));
        let mailing = (0..3_u8, asker, whose).prop_map(|(kind, asker, whose)| match kind {
            0 => Mailing::Notice(whose),
            1 => Mailing::Confirmation(asker, whose),
            _ => Mailing::Change(asker, whose),
        });
        (mailing, prop::bool::weighted(0.9))
    }

    proptest! {
        #[test]
        fn the_rows_of_several_processes_are_the_limits_of_one_alone(
            mailings in prop::collection::vec(mailing(), 0..600),
        ) {
            let mut alone = Shares::new(Store::in_memory().counts(0));
            let mut rows: HashMap<Key, u32> = HashMap::new();
            for (mailing, is_written) in mailings {
                let counted = |key| rows.get(key).copied().unwrap_or(0);
                let has_room = mailing.rows().iter().all(|(key, most)| counted(key) < *most);
                let room = alone.room(mailing, secs(7)).ok().unwrap();
                prop_assert_eq!(room.is_some(), has_room);
                if let Some(room) = room {
                    alone.settle(&room, is_written);
                }
                if has_room && is_written {
                    for (key, _) in mailing.rows() {
                        *rows.entry(key).or_default() += 1;
                    }
                }
            }
        }
    }

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// How many of thirty notices are mailed.
    fn mailed(limits: &mut Limits, whose: Counted, now: u64) -> usize {
        (0..30)
            .filter(|_| {
                let room = limits.has_room(whose, secs(now));
                if room {
                    limits.add(whose, secs(now));
                }
                room
            })
            .count()
    }

    #[test]
    fn confirmations_are_twenty_a_network_and_two_hundred_in_all_within_an_hour() {
        let mut unproven = Unproven::default();
        let mut mailed = |network: u8, now: u64| {
            let asker = Network::of([192, 0, 2, network].into());
            let mail = |n: &usize| {
                let name = format!("{network} {n}");
                let whose = Counted::new(&name, &name);
                let room = unproven.has_room(asker, whose, secs(now));
                if room {
                    unproven.add(asker, whose, secs(now));
                }
                room
            };
            (0..30).filter(mail).count()
        };
        for network in 0..10 {
            assert_eq!(mailed(network, 0), 20);
        }
        assert_eq!(mailed(10, 3599), 0);
        assert_eq!(mailed(0, 3600), 20);
    }

    #[test]
    fn one_address_gets_twenty_confirmations_from_all_networks() {
        let mut unproven = Unproven::default();
        let whose = Counted::new("eve", "victim@example.com");
        let mailed = (0..30_u8).filter(|network| {
            let asker = Network::of([192, 0, 2, *network].into());
            let room = unproven.has_room(asker, whose, secs(0));
            if room {
                unproven.add(asker, whose, secs(0));
            }
            room
        });
        assert_eq!(mailed.count(), 20);
    }

    #[test]
    fn an_account_causes_twenty_an_hour_wherever_they_go() {
        let mut limits = Limits::default();
        assert_eq!(mailed(&mut limits, Counted::new("eve", "a@b.c"), 0), 20);
        assert_eq!(mailed(&mut limits, Counted::new("EVE", "d@e.f"), 3599), 0);
        assert_eq!(mailed(&mut limits, Counted::new("bob", "d@e.f"), 3599), 20);
        assert_eq!(mailed(&mut limits, Counted::new("eve", "a@b.c"), 3600), 20);
    }

    #[test]
    fn a_mailbox_gets_twenty_an_hour_however_it_is_written() {
        for other in [
            "bob@example.com",
            "BOB@example.com",
            "bob@EXAMPLE.com",
            "bob+1@example.com",
            "Bob+a+b@Example.Com",
            "bob+@example.com",
        ] {
            let mut limits = Limits::default();
            let first = Counted::new("bob", "bob@example.com");
            assert_eq!(mailed(&mut limits, first, 0), 20);
            assert_eq!(mailed(&mut limits, Counted::new("eve", other), 0), 0);
        }
        let mut limits = Limits::default();
        mailed(&mut limits, Counted::new("a", "a@bücher.example"), 0);
        let same = Counted::new("b", "a@xn--bcher-kva.example");
        assert_eq!(mailed(&mut limits, same, 0), 0);
        assert_eq!(mailed(&mut limits, Counted::new("c", "c@b.example"), 0), 20);
    }

    #[test]
    fn the_table_is_bounded_and_refuses_nobody() {
        let mut limits = Limits::default();
        let busy = Counted::new("busy", "busy@example.com");
        mailed(&mut limits, busy, 10);
        for n in 0..MAX_ROWS as u64 {
            let name = n.to_string();
            limits.add(Counted::new(&name, &format!("{name}@b.c")), secs(11));
            assert!(limits.mailed.len() <= MAX_ROWS);
        }
        assert!(limits.has_room(Counted::new("new", "new@b.c"), secs(12)));
    }
}
