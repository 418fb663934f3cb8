//! What is counted by the hour: requests for a new password, and registrations.

use std::net::IpAddr;
use std::time::Duration;

use crate::accounts::token::Digest;
use crate::network::{Block, Network};

use super::Throttle;
use super::counts::Hourly;
use super::limits::{BLOCK, INVITED, RECOVERIES};
use super::table::Table;

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

    /// Counts a registration by this invitation as refused for its name or address, until it turns
    /// out otherwise: whoever is invited may not ask without end who is there.
    ///
    /// # Errors
    ///
    /// How long to wait, if enough were refused within this hour.
    pub fn invited(&self, invitation: Digest, now: Duration) -> Result<(), Duration> {
        let mut state = self.state();
        let row = state.invited.row_made(invitation);
        if let Some(wait) = row.wait(INVITED, now) {
            return Err(wait);
        }
        row.add(now);
        Ok(())
    }

    /// Takes back a registration by this invitation that was not refused for its name or address.
    pub fn forgive_invited(&self, invitation: Digest, at: Duration) {
        if let Some(row) = self.state().invited.row_if_there(invitation) {
            row.take_back(at);
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
