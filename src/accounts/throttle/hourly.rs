//! What is counted by the hour: requests for a new password, and registrations.

use std::net::IpAddr;
use std::time::Duration;

use crate::accounts::token::Digest;
use crate::network::{Block, Network};

use super::counts::Hourly;
use super::limits::{BLOCK, INVITED, RECOVERIES};
use super::table::{Table, Weight};
use super::{Throttle, TooEarly};

impl Throttle {
    /// Counts a request for a new password.
    ///
    /// # Errors
    ///
    /// How long to wait, if the network has had its share for this hour.
    pub fn recovery(&self, address: IpAddr, now: Duration) -> Result<(), Duration> {
        let state = &mut *self.state();
        let (networks, blocks) = (&mut state.recoveries, &mut state.block_recoveries);
        take(networks, blocks, address, RECOVERIES, now)
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
        let state = &mut *self.state();
        let (networks, blocks) = (&mut state.registrations, &mut state.block_registrations);
        take(networks, blocks, address, self.registrations_per_hour, now)
    }

    /// Takes back a registration that was not looked at, or could not be saved.
    pub fn forgive_registration(&self, address: IpAddr, at: Duration) {
        let (origin, mut state) = (Network::of(address), self.state());
        if let Some(network) = state.registrations.row_if_there(origin) {
            network.take_back(at);
        }
        let block = origin.block();
        if let Some(block) = block.and_then(|block| state.block_registrations.row_if_there(block)) {
            block.take_back(at);
        }
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
        let mut state = self.state();
        let row = state.invited.row_made(invitation);
        match row.refused.wait(INVITED, now) {
            Some(_) if row.undecided > 0 => Err(TooEarly::Undecided),
            Some(wait) => Err(TooEarly::Wait(wait)),
            None => {
                row.refused.add(now);
                row.undecided += 1;
                Ok(InvitedAttempt {
                    throttle: self,
                    invitation,
                    at: now,
                    forgiven: false,
                })
            }
        }
    }
}

/// The registrations by one invitation within the hour.
#[derive(Default)]
pub(super) struct Invited {
    /// Those refused for their name or address, with those that are being looked at.
    refused: Hourly,
    undecided: u32,
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
        let mut state = self.throttle.state();
        if let Some(row) = state.invited.row_if_there(self.invitation) {
            row.undecided = row.undecided.saturating_sub(1);
            if self.forgiven {
                row.refused.take_back(self.at);
            }
        }
    }
}

/// Adds one to the counts of a network and of its /48, or to neither.
fn take(
    networks: &mut Table<Network, Hourly>,
    blocks: &mut Table<Block, Hourly>,
    address: IpAddr,
    limit: u32,
    now: Duration,
) -> Result<(), Duration> {
    let origin = Network::of(address);
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
