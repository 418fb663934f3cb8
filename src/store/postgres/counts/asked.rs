//! What is asked of the counts.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::accounts::throttle::{CodeFrom, Counted, Key, Part, Standing, Target, Ticket, Verdict};
use crate::accounts::token::{self, Digest};
use crate::network::Network;
use crate::store::counts::{NotBegun, Refused};
use crate::store::error::Unavailable;
use crate::store::postgres::shared::Shared;

use super::{Asker, Cleared, Owed, Rows, Save, Unasked, members_of};

/// The counts of all nodes.
pub(in crate::store) struct Counts {
    shared: Arc<Shared>,
    registrations_per_hour: u32,
}

/// An attempt that is counted, until it is decided.
pub(in crate::store) struct Begun<'a> {
    counts: &'a Counts,
    /// `None` once it is decided.
    ticket: Option<Ticket>,
    standing: Standing,
    is_forgiven: bool,
}

impl Begun<'_> {
    pub(in crate::store) fn standing(&self) -> Standing {
        self.standing
    }

    /// Takes it back.
    pub(in crate::store) fn forgive(mut self) {
        self.is_forgiven = true;
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.counts.shared.decide(ticket, self.is_forgiven);
        }
    }
}

impl Counts {
    pub(in crate::store) fn new(shared: Arc<Shared>, registrations_per_hour: u32) -> Self {
        Self {
            shared,
            registrations_per_hour,
        }
    }

    /// As [`Throttle::begin`](crate::accounts::throttle::Throttle::begin).
    pub(in crate::store) fn begin(
        &self,
        target: Target,
        address: IpAddr,
    ) -> Result<Begun<'_>, NotBegun> {
        let counted = Counted::password(target, Network::of(address));
        self.attempt(Asker::Attempt(counted), counted.keys(), |part, id| {
            part.begin(id, counted, None)
        })
    }

    /// As [`Throttle::begin_code`](crate::accounts::throttle::Throttle::begin_code).
    pub(in crate::store) fn begin_code(
        &self,
        from: CodeFrom,
        address: IpAddr,
        of_account: Option<Duration>,
    ) -> Result<Begun<'_>, NotBegun> {
        let origin = Network::of(address);
        let counted = Counted::code(from, origin);
        let asker = Asker::Attempt(counted);
        // Its wait, or that of the account if that is longer: neither grows while both last.
        if from == CodeFrom::Stranger
            && let Some(wait) = self.shared.counts.wait(asker)
        {
            return Err(NotBegun::Wait(
                of_account.map_or(wait, |other| wait.max(other)),
            ));
        }
        if counted == Counted::Nowhere {
            return match of_account.filter(|wait| !wait.is_zero()) {
                Some(wait) => Err(NotBegun::Wait(wait)),
                None => Ok(self.uncounted()),
            };
        }
        let begun = self.ask(counted.keys(), |part, id| {
            part.begin_code(id, (from, origin), of_account)
        });
        // What the account adds to it is not the network's.
        if let Err(NotBegun::Wait(wait)) = &begun
            && from == CodeFrom::Stranger
            && of_account.is_none()
        {
            self.shared.counts.keep_wait(asker, *wait);
        }
        begun
    }

    /// As [`Throttle::begin_invited`](crate::accounts::throttle::Throttle::begin_invited).
    pub(in crate::store) fn begin_invited(
        &self,
        invitation: Digest,
    ) -> Result<Begun<'_>, NotBegun> {
        let keys = vec![Key::Invited(invitation)];
        self.attempt(Asker::Invited(invitation), keys, |part, id| {
            part.begin_invited(id, invitation)
        })
    }

    /// For what counts nowhere.
    fn uncounted(&self) -> Begun<'_> {
        Begun {
            counts: self,
            ticket: None,
            standing: Standing::Stranger { failures: 0 },
            is_forgiven: true,
        }
    }

    fn attempt(
        &self,
        asker: Asker,
        keys: Vec<Key>,
        begin: impl Fn(&mut Part, &str) -> (Verdict, Ticket),
    ) -> Result<Begun<'_>, NotBegun> {
        if let Some(wait) = self.shared.counts.wait(asker) {
            return Err(NotBegun::Wait(wait));
        }
        let begun = self.ask(keys, begin);
        if let Err(NotBegun::Wait(wait)) = &begun {
            self.shared.counts.keep_wait(asker, *wait);
        }
        begun
    }

    fn ask(
        &self,
        keys: Vec<Key>,
        begin: impl Fn(&mut Part, &str) -> (Verdict, Ticket),
    ) -> Result<Begun<'_>, NotBegun> {
        let id = token::short_id();
        let origin = keys.iter().find_map(|key| match key {
            Key::Network(origin) => Some(*origin),
            _ => None,
        });
        let rows = Rows {
            looked: members_of(origin),
            locked: keys,
        };
        let asked = self.shared.count(&rows, |part| {
            let (verdict, ticket) = begin(part, &id);
            let standing = part.standing(&ticket);
            let save = match verdict {
                Verdict::Go => Save::Yes,
                Verdict::Undecided | Verdict::Wait(_) => Save::No,
            };
            ((verdict, ticket, standing), save)
        });
        match asked {
            Ok((Verdict::Go, ticket, standing)) => Ok(Begun {
                counts: self,
                ticket: Some(ticket),
                standing,
                is_forgiven: false,
            }),
            Ok((Verdict::Undecided, ..)) => Err(NotBegun::Undecided),
            Ok((Verdict::Wait(wait), ..)) => Err(NotBegun::Wait(wait)),
            Err(why) => {
                if matches!(why, Unasked::Unknown) {
                    // Nothing was looked at, so it must not count in the end.
                    let owed = Ticket {
                        id,
                        keys: rows.locked,
                        from: origin,
                        at: Duration::ZERO,
                    };
                    self.shared.counts.owe(Owed::TakeBack(owed));
                }
                Err(NotBegun::Unavailable)
            }
        }
    }

    /// The claim of a stranger at this address.
    pub(in crate::store) fn standing(&self, address: IpAddr) -> Result<Standing, Unavailable> {
        let origin = Network::of(address);
        let rows = Rows {
            looked: Counted::Code(origin).keys(),
            locked: Vec::new(),
        };
        let standing = self
            .shared
            .count(&rows, |part| (part.standing_of(origin), Save::No));
        Ok(standing?)
    }

    /// Clears an account's counts, or its browser's; later, where that cannot be done now.
    pub(in crate::store) fn clear(&self, target: Target) {
        self.shared.clear(match target {
            Target::Account(account) => Cleared::Account(account),
            Target::Device(browser) => Cleared::Browser(browser),
        });
    }

    /// Notes a member, unless the database is away: it only raises a limit.
    pub(in crate::store) fn note_member(&self, account: Digest, address: IpAddr, at: Duration) {
        let origin = Network::of(address);
        let rows = Rows {
            locked: members_of(Some(origin)),
            looked: Vec::new(),
        };
        let _ = self.shared.count(&rows, |part| {
            (part.note_member(account, origin, at), Save::Yes)
        });
    }

    /// As [`Throttle::recovery`](crate::accounts::throttle::Throttle::recovery).
    pub(in crate::store) fn recovery(&self, address: IpAddr) -> Result<(), Refused> {
        let origin = Network::of(address);
        let block = origin.block().map(Key::BlockRecoveries);
        let keys = [Key::Recoveries(origin)].into_iter().chain(block);
        self.take(Asker::Recovery(origin), keys.collect(), |part| {
            part.recovery(origin)
        })
    }

    /// As [`Throttle::registration`](crate::accounts::throttle::Throttle::registration); gives when
    /// it was counted.
    pub(in crate::store) fn registration(&self, address: IpAddr) -> Result<Duration, Refused> {
        let (origin, limit) = (Network::of(address), self.registrations_per_hour);
        if limit == 0 {
            return Ok(Duration::ZERO);
        }
        let keys = registrations(origin);
        self.take(Asker::Registration(origin), keys, |part| {
            part.registration(origin, limit)
        })
    }

    fn take<R>(
        &self,
        asker: Asker,
        locked: Vec<Key>,
        take: impl Fn(&mut Part) -> Result<R, Duration>,
    ) -> Result<R, Refused> {
        if let Some(wait) = self.shared.counts.wait(asker) {
            return Err(Refused::Wait(wait));
        }
        let rows = Rows {
            locked,
            looked: Vec::new(),
        };
        let taken = self.shared.count(&rows, |part| {
            let taken = take(part);
            let save = if taken.is_ok() { Save::Yes } else { Save::No };
            (taken, save)
        });
        match taken {
            Ok(Ok(taken)) => Ok(taken),
            Ok(Err(wait)) => {
                self.shared.counts.keep_wait(asker, wait);
                Err(Refused::Wait(wait))
            }
            Err(_) => Err(Refused::Unavailable),
        }
    }

    /// Takes back a registration that was counted at this time, unless the database is away.
    pub(in crate::store) fn forgive_registration(&self, address: IpAddr, at: Duration) {
        if self.registrations_per_hour == 0 {
            return;
        }
        let origin = Network::of(address);
        let rows = Rows {
            locked: registrations(origin),
            looked: Vec::new(),
        };
        let _ = self.shared.count(&rows, |part| {
            (part.forgive_registration(origin, at), Save::Yes)
        });
    }

    /// Counts one mail in all of these rows, or in none; gives when, or `None` if there is no room.
    pub(in crate::store) fn mail(
        &self,
        rows: &[(Key, u32)],
    ) -> Result<Option<Duration>, Unavailable> {
        let counted = self
            .shared
            .count(&of_mail(rows), |part| match part.mail(rows) {
                Ok(at) => (Some(at), Save::Yes),
                Err(_) => (None, Save::No),
            });
        Ok(counted?)
    }

    /// Uncounts a mail that could not be written, unless the database is away.
    pub(in crate::store) fn take_mail_back(&self, rows: &[(Key, u32)], at: Duration) {
        let _ = self.shared.count(&of_mail(rows), |part| {
            (part.take_mail_back(rows, at), Save::Yes)
        });
    }

    /// As [`Throttle::wrong_token`](crate::accounts::throttle::Throttle::wrong_token); false also
    /// while the database is away.
    pub(in crate::store) fn wrong_token(
        &self,
        token: Digest,
        address: IpAddr,
        is_guess: bool,
    ) -> bool {
        let origin = Network::of(address);
        let mut locked = vec![Key::WrongToken(token, origin)];
        locked.extend(Counted::Code(origin).keys());
        let rows = Rows {
            looked: members_of(Some(origin)),
            locked,
        };
        let told = self.shared.count(&rows, |part| {
            let is_new = part.wrong_token((token, origin), is_guess);
            let save = if is_new { Save::Yes } else { Save::No };
            (is_new, save)
        });
        told.unwrap_or(false)
    }
}

fn of_mail(rows: &[(Key, u32)]) -> Rows {
    Rows {
        locked: rows.iter().map(|(key, _)| *key).collect(),
        looked: Vec::new(),
    }
}

fn registrations(origin: Network) -> Vec<Key> {
    let block = origin.block().map(Key::BlockRegistrations);
    [Key::Registrations(origin)]
        .into_iter()
        .chain(block)
        .collect()
}
