//! Which rows of the tables an attempt counts in.

use crate::accounts::token::Digest;
use crate::network::{Block, Network};

use super::{CodeFrom, Target};

/// One row.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key {
    FromNetwork(Digest, Network),
    FromBlock(Digest, Block),
    Account(Digest),
    Browser(Digest),
    Network(Network),
    Block(Block),
    Members(Network),
    BlockMembers(Block),
    Recoveries(Network),
    BlockRecoveries(Block),
    Registrations(Network),
    BlockRegistrations(Block),
    Invited(Digest),
    WrongToken(Digest, Network),
    /// Mails that an account causes, or that go to an address.
    Mailed(Digest),
    /// The same of confirmations to addresses that nobody has proven.
    Unproven(Digest),
    UnprovenFrom(Network),
    UnprovenInAll,
}

/// Where an attempt counts.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Counted {
    Nowhere,
    /// For the browser alone.
    Browser(Digest),
    Code(Network),
    Password(Digest, Network),
}

impl Counted {
    /// Where a password counts.
    pub fn password(target: Target, origin: Network) -> Self {
        match target {
            Target::Account(account) => Self::Password(account, origin),
            Target::Device(browser) => Self::Browser(browser),
        }
    }

    /// Where a code counts, if its network does not have to wait.
    pub fn code(from: CodeFrom, origin: Network) -> Self {
        match from {
            CodeFrom::KnownBrowser => Self::Nowhere,
            CodeFrom::Excused | CodeFrom::Stranger => Self::Code(origin),
        }
    }

    /// The rows.
    pub fn keys(self) -> Vec<Key> {
        let of_account = match self {
            Self::Nowhere => return Vec::new(),
            Self::Browser(browser) => return vec![Key::Browser(browser)],
            Self::Code(_) => None,
            Self::Password(account, _) => Some(account),
        };
        let Some(origin) = self.origin() else {
            return Vec::new();
        };
        let block = origin.block();
        let mut keys = Vec::with_capacity(5);
        if let Some(account) = of_account {
            keys.push(Key::FromNetwork(account, origin));
            keys.extend(block.map(|block| Key::FromBlock(account, block)));
            keys.push(Key::Account(account));
        }
        keys.push(Key::Network(origin));
        keys.extend(block.map(Key::Block));
        keys
    }

    /// From where the attempt comes, if that counts.
    pub fn origin(self) -> Option<Network> {
        match self {
            Self::Nowhere | Self::Browser(_) => None,
            Self::Code(origin) | Self::Password(_, origin) => Some(origin),
        }
    }
}
