//! What is counted by the hour: requests for a new password, and registrations.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::accounts::token::Digest;
use crate::network::{Block, Network};

use super::counts::{Decision, Hourly, Verdict};
use super::limits::{BLOCK, INVITED, RECOVERIES};
use super::table::{Table, Weight};
use super::{Key, State, Throttle, TooEarly};

impl Throttle {
    /// Counts a request for a new password.
    ///
    /// # Errors
    ///
    /// How long to wait, if the network has had its share for this hour.
    pub fn recovery(&self, address: IpAddr, now: Duration) -> Result<(), Duration> {
        self.state().take_recovery(Network::of(address), now)
    }

    /// Counts a registration, even one that is refused because its name or address is taken.
    ///
    /// # Errors
    ///
    /// How long to wait, if the network has had its share for this hour.
    pub fn registration(&self, address: IpAddr, now: Duration) -> Result<(), Duration> {
        if self.registrations_per_hour == 0 {
            return Ok(());
        }
        let (origin, limit) = (Network::of(address), self.registrations_per_hour);
        self.state().take_registration(origin, limit, now)
    }

    /// Takes back a registration that was not looked at, or could not be saved.
    pub fn forgive_registration(&self, address: IpAddr, at: Duration) {
        self.state().forgive_registration(Network::of(address), at);
    }

    /// Begins a registration by this invitation, which counts as refused for its name or address
    /// until it turns out otherwise: whoever is invited may not ask without end who is there.
    ///
    /// # Errors
    ///
    /// How long to wait, if enough were refused within this hour, or are being looked at.
    pub fn begin_invited(
        &self,
        invitation: Digest,
        now: Duration,
    ) -> Result<InvitedAttempt<'_>, TooEarly> {
        match self.state().begin_invited(invitation, now) {
            Verdict::Undecided => Err(TooEarly::Undecided),
            Verdict::Wait(wait) => Err(TooEarly::Wait(wait)),
            Verdict::Go => Ok(InvitedAttempt {
                throttle: self,
                invitation,
                at: now,
                forgiven: false,
            }),
        }
    }
}

impl State {
    /// As [`Throttle::recovery`].
    pub(super) fn take_recovery(&mut self, origin: Network, now: Duration) -> Result<(), Duration> {
        let (networks, blocks) = (&mut self.recoveries, &mut self.block_recoveries);
        take(networks, blocks, origin, RECOVERIES, now)
    }

    /// As [`Throttle::registration`], with a limit.
    pub(super) fn take_registration(
        &mut self,
        origin: Network,
        limit: u32,
        now: Duration,
    ) -> Result<(), Duration> {
        let (networks, blocks) = (&mut self.registrations, &mut self.block_registrations);
        take(networks, blocks, origin, limit, now)
    }

    /// As [`Throttle::forgive_registration`].
    pub(super) fn forgive_registration(&mut self, origin: Network, at: Duration) {
        if let Some(network) = self.registrations.row_if_there(origin) {
            network.take_back(at);
        }
        let block = origin.block();
        if let Some(block) = block.and_then(|block| self.block_registrations.row_if_there(block)) {
            block.take_back(at);
        }
    }

    /// As [`Throttle::begin_invited`].
    pub(super) fn begin_invited(&mut self, invitation: Digest, now: Duration) -> Verdict {
        let row = self.invited.row_made(invitation);
        match row.refused.wait(INVITED, now) {
            Some(_) if row.undecided > 0 => Verdict::Undecided,
            Some(wait) => Verdict::Wait(wait),
            None => {
                row.refused.add(now);
                row.begin();
                Verdict::Go
            }
        }
    }
}

/// The registrations by one invitation within the hour.
#[derive(Default, Deserialize, Serialize)]
pub(super) struct Invited {
    /// Those refused for their name or address, with those that are being looked at.
    refused: Hourly,
    #[serde(skip)]
    undecided: u32,
}

impl Invited {
    /// Begins one that is counted already.
    pub(super) fn begin(&mut self) {
        self.undecided = self.undecided.saturating_add(1);
    }

    /// Decides one that was begun.
    pub(super) fn decide(&mut self, decision: Decision) {
        self.undecided = self.undecided.saturating_sub(1);
        if let Decision::TakenBack(at) = decision {
            self.refused.take_back(at);
        }
    }
}

impl Weight for Invited {
    fn weight(&self) -> (bool, Duration) {
        let (_, last) = self.refused.weight();
        (self.undecided > 0, last)
    }
}

/// A registration by an invitation, which stays counted as refused unless it is forgiven.
#[must_use]
pub struct InvitedAttempt<'a> {
    throttle: &'a Throttle,
    invitation: Digest,
    at: Duration,
    forgiven: bool,
}

impl InvitedAttempt<'_> {
    /// Takes it back: it was not refused for its name or address.
    pub fn forgive(mut self) {
        self.forgiven = true;
    }
}

impl Drop for InvitedAttempt<'_> {
    fn drop(&mut self) {
        let result = Decision::of(self.forgiven, self.at);
        let key = Key::Invited(self.invitation);
        self.throttle.state().decide_in(key, None, result);
    }
}

/// Adds one to the counts of a network and of its /48, or to neither.
fn take(
    networks: &mut Table<Network, Hourly>,
    blocks: &mut Table<Block, Hourly>,
    origin: Network,
    limit: u32,
    now: Duration,
) -> Result<(), Duration> {
    let of_block = limit.saturating_mul(BLOCK);
    let wait = networks.row(origin).and_then(|row| row.wait(limit, now));
    let block = origin.block().and_then(|block| blocks.row(block));
    let block_wait = block.and_then(|row| row.wait(of_block, now));
    if let Some(wait) = wait.max(block_wait) {
        return Err(wait);
    }
    networks.row_made(origin).add(now);
    if let Some(block) = origin.block() {
        blocks.row_made(block).add(now);
    }
    Ok(())
}
