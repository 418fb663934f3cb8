//! How many of something each network has: connections, or requests under way.

use std::collections::HashMap;
use std::hash::Hash;

use crate::network::{Block, Network};

/// How many times as much a whole /48 may have as one network in it: a /48 may belong to several
/// subscribers, or to one.
const IN_BLOCK: usize = 3;

/// Counts by network and by /48. Holds no more entries than there are things counted.
pub struct Crowd {
    most: usize,
    networks: HashMap<Network, usize>,
    blocks: HashMap<Block, usize>,
}

/// Who has as many as they may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    Network(Network),
    Block(Block),
}

impl Full {
    /// Whether this network is among those who are full.
    pub fn has(self, network: Network) -> bool {
        match self {
            Self::Network(full) => full == network,
            Self::Block(full) => network.block() == Some(full),
        }
    }
}

impl Crowd {
    /// Counts with a limit of `most` for one network.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            networks: HashMap::new(),
            blocks: HashMap::new(),
        }
    }

    /// Who is full, if there is no room for one more from this network.
    pub fn full(&self, network: Network) -> Option<Full> {
        let count = self.networks.get(&network).copied().unwrap_or(0);
        if count >= self.most {
            return Some(Full::Network(network));
        }
        let block = network.block()?;
        let count = self.blocks.get(&block).copied().unwrap_or(0);
        (count >= self.most.saturating_mul(IN_BLOCK)).then_some(Full::Block(block))
    }

    /// Counts one more from this network.
    pub fn add(&mut self, network: Network) {
        *self.networks.entry(network).or_default() += 1;
        if let Some(block) = network.block() {
            *self.blocks.entry(block).or_default() += 1;
        }
    }

    /// Counts one less from this network.
    pub fn remove(&mut self, network: Network) {
        take_one(&mut self.networks, network);
        if let Some(block) = network.block() {
            take_one(&mut self.blocks, block);
        }
    }
}

fn take_one<K: Eq + Hash>(counts: &mut HashMap<K, usize>, key: K) {
    if let Some(count) = counts.get_mut(&key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Network {
        Network::of(text.parse().unwrap())
    }

    #[test]
    fn a_network_has_its_share_and_a_48_three_times_that() {
        let mut crowd = Crowd::new(100);
        let mut added = 0_u32;
        for network in 0..65_536 {
            let one = of(&format!("2001:db8:1:{network:x}::1"));
            if crowd.full(one).is_none() {
                crowd.add(one);
                added += 1;
            }
        }
        assert_eq!(added, 300);
        let ninth = of("2001:db8:1:9::9");
        assert!(crowd.full(ninth).unwrap().has(of("2001:db8:1:ffff::1")));
        // The next /48, and any IPv4 address, are somebody else.
        assert_eq!(crowd.full(of("2001:db8:2::1")), None);
        for address in ["192.0.2.1", "::ffff:192.0.2.1"] {
            (0..50).for_each(|_| crowd.add(of(address)));
        }
        assert_eq!(
            crowd.full(of("192.0.2.1")),
            Some(Full::Network(of("192.0.2.1")))
        );
        assert_eq!(crowd.full(of("192.0.2.2")), None);
    }

    #[test]
    fn what_is_given_back_is_forgotten() {
        let mut crowd = Crowd::new(1);
        let network = of("2001:db8::1");
        crowd.add(network);
        assert!(crowd.full(network).is_some());
        crowd.remove(network);
        crowd.remove(network);
        assert_eq!(crowd.full(network), None);
        assert!(crowd.networks.is_empty() && crowd.blocks.is_empty());
    }
}
