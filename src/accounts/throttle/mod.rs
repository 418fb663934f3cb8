//! Who waits: the one rule about guessing, over the table of limits in `limits`.
//!
//! An attempt is counted when it begins, and taken back when it turns out right or is not looked
//! at, so that many at once cannot slip in before the first is counted. An attempt that would have
//! to wait only if others, still being looked at, turn out wrong is not refused but waits for their
//! results. An attempt made too early is refused without being looked at, and is not counted.
//!
//! Nobody's guesses lock the owner out: a stranger's network waits before the account does, a
//! browser the account knows has a count of its own, and what cannot be guessed (a mailed password,
//! a recovery code) is looked at whatever the counts say.
//!
//! Moments are those of the steady clock, with fractions of a second, so that a wait of one second
//! lasts one. The tables are bounded: what matters least makes room, and nobody is refused because
//! a table is full. The counts of passwords and networks end with the process; those of codes
//! (`codes`) are kept with the account.

use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::accounts::token::Digest;
use crate::network::{Block, Network};

mod codes;
mod counts;
mod hourly;
mod keys;
pub mod limits;
mod micros;
#[cfg(feature = "postgres")]
mod part;
mod table;
mod tokens;

use counts::{Decision, Hourly, InARow, Members, OfLate, Spread};
use limits::{ACCOUNT_FROM_NETWORK, BLOCK, BROWSER, Limit, NETWORK};
use table::{Table, Weight};

pub use counts::Verdict;
pub use hourly::InvitedAttempt;
pub use keys::{Counted, Key};
#[cfg(feature = "postgres")]
pub use part::{Kept, Part, Ticket};

/// The most rows of a table: some megabytes, and far more than can be filled at the rate of
/// hashing.
const MAX_ROWS: usize = 10_000;

/// The most rows of a table whose rows are larger.
const MAX_LARGE_ROWS: usize = 2000;

/// Whose password is tried.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// An account by the digest of its key, whether it exists or not.
    Account(Digest),
    /// An account from a browser it knows, which has a count of its own: a stranger's guesses
    /// never make the owner wait.
    Device(Digest),
}

/// How good a claim somebody has to what is scarce; the smaller one is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Has passed both factors, now or in this browser before, or comes from where accounts log in.
    Known,
    /// Comes from an address with this many recent failures.
    Stranger { failures: usize },
}

/// Who tries a code, as far as the counts of networks are concerned. The account's own counts are
/// [`crate::accounts::WrongCodes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeFrom {
    /// A browser the account knows: it does not wait because of its network, and its failures do
    /// not count there.
    KnownBrowser,
    /// Somebody who types a recovery code, or came with a mailed password: their network's wait
    /// does not hold them up.
    Excused,
    Stranger,
}

/// Why an attempt may not be looked at now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooEarly {
    /// It depends on others that are being looked at; ask again when one of them is decided.
    Undecided,
    /// It has to wait that long, and is not counted.
    Wait(Duration),
}

/// The counts of this process; those of codes are kept with the accounts.
pub struct Throttle {
    state: Mutex<State>,
    registrations_per_hour: u32,
}

/// An attempt, counted as undecided until it is forgiven, or dropped, which makes it a failure.
#[must_use]
pub struct Attempt<'a> {
    throttle: &'a Throttle,
    counted: Counted,
    at: Duration,
    standing: Standing,
    forgiven: bool,
}

impl Attempt<'_> {
    /// The claim of whoever makes the attempt, before it is decided.
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// Takes it back: it was right, or was not looked at.
    pub fn forgive(mut self) {
        self.forgiven = true;
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let result = Decision::of(self.forgiven, self.at);
        self.throttle.state().decide(self.counted, result);
    }
}

impl Throttle {
    /// `registrations_per_hour` of zero is no limit.
    pub fn new(registrations_per_hour: u32) -> Self {
        Self {
            state: Mutex::new(State::new()),
            registrations_per_hour,
        }
    }

    /// Begins an attempt at a password.
    ///
    /// # Errors
    ///
    /// [`TooEarly`]; then the attempt is not counted, and the password must not be looked at.
    pub fn begin(
        &self,
        target: Target,
        address: IpAddr,
        now: Duration,
    ) -> Result<Attempt<'_>, TooEarly> {
        let origin = Network::of(address);
        let mut state = self.state();
        let asked = state.begin(Counted::password(target, origin), None, now);
        self.begun(&state, asked, origin, now)
    }

    /// Begins an attempt at a code. `of_account` is how long it still has to wait by the counts of
    /// its account or browser.
    ///
    /// # Errors
    ///
    /// As [`Throttle::begin`].
    pub fn begin_code(
        &self,
        from: CodeFrom,
        address: IpAddr,
        of_account: Option<Duration>,
        now: Duration,
    ) -> Result<Attempt<'_>, TooEarly> {
        let origin = Network::of(address);
        let mut state = self.state();
        let asked = state.begin_code(from, origin, of_account, now);
        self.begun(&state, asked, origin, now)
    }

    fn begun(
        &self,
        state: &State,
        (verdict, counted): (Verdict, Counted),
        origin: Network,
        now: Duration,
    ) -> Result<Attempt<'_>, TooEarly> {
        match verdict {
            Verdict::Go => Ok(Attempt {
                throttle: self,
                counted,
                at: now,
                standing: state.standing_of(counted, origin),
                forgiven: false,
            }),
            Verdict::Undecided => Err(TooEarly::Undecided),
            Verdict::Wait(wait) => Err(TooEarly::Wait(wait)),
        }
    }

    /// The claim of a stranger at this address.
    pub fn standing(&self, address: IpAddr) -> Standing {
        self.state().standing(Network::of(address))
    }

    /// Clears an account's counts, or its browser's, after a login with both factors. The network
    /// keeps its count: logging in to an account of one's own must not buy guesses at others.
    pub fn clear(&self, target: Target) {
        let mut state = self.state();
        match target {
            Target::Account(account) => {
                state.from_networks.remove_if(|(of, _)| *of == account);
                state.from_blocks.remove_if(|(of, _)| *of == account);
                state.accounts.remove(account);
            }
            Target::Device(browser) => state.browsers.remove(browser),
        }
    }

    /// Notes that an account logged in from this address at `at`. The caller leaves out new
    /// accounts that strangers made.
    pub fn note_member(&self, account: Digest, address: IpAddr, at: Duration) {
        let origin = Network::of(address);
        self.state().note_member(account, origin, at);
    }

    /// Every change of the state is complete in itself, so one cut short by a panic leaves at most
    /// a count too many.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct State {
    /// Wrong passwords for an account from a network, and from a /48.
    from_networks: Table<(Digest, Network), InARow>,
    from_blocks: Table<(Digest, Block), Spread<Network>>,
    /// Wrong passwords for an account from everywhere.
    accounts: Table<Digest, Spread<Place>>,
    browsers: Table<Digest, InARow>,
    /// Wrong passwords and codes from a network, and from a /48.
    networks: Table<Network, OfLate>,
    blocks: Table<Block, OfLate>,
    members: Table<Network, Members>,
    block_members: Table<Block, Members>,
    recoveries: Table<Network, Hourly>,
    block_recoveries: Table<Block, Hourly>,
    registrations: Table<Network, Hourly>,
    block_registrations: Table<Block, Hourly>,
    /// Registrations by an invitation that were refused.
    invited: Table<Digest, hourly::Invited>,
    wrong_tokens: Table<(Digest, Network), tokens::Counted>,
}

/// A network as the count over all of them knows it.
#[derive(Clone, Copy, Deserialize, PartialEq, Eq, Serialize)]
enum Place {
    Address(Network),
    Block(Block),
}

impl Place {
    fn of(origin: Network) -> Self {
        origin.block().map_or(Self::Address(origin), Self::Block)
    }
}

impl State {
    fn new() -> Self {
        Self {
            from_networks: Table::new(MAX_ROWS),
            from_blocks: Table::new(MAX_ROWS),
            accounts: Table::new(MAX_ROWS),
            browsers: Table::new(MAX_ROWS),
            networks: Table::new(MAX_ROWS),
            blocks: Table::new(MAX_LARGE_ROWS),
            members: Table::new(MAX_LARGE_ROWS),
            block_members: Table::new(MAX_LARGE_ROWS),
            recoveries: Table::new(MAX_ROWS),
            block_recoveries: Table::new(MAX_LARGE_ROWS),
            registrations: Table::new(MAX_ROWS),
            block_registrations: Table::new(MAX_LARGE_ROWS),
            invited: Table::new(MAX_LARGE_ROWS),
            wrong_tokens: Table::new(MAX_LARGE_ROWS),
        }
    }

    /// What all counts together say, the account's own count of codes (`of_codes`) included.
    /// Waiting as long as the verdict says is enough, even if the network has fewer members by
    /// then, and so a lower limit.
    fn verdict(&self, counted: Counted, of_codes: Option<Duration>, now: Duration) -> Verdict {
        let at = |then: Duration| {
            let passed = then.saturating_sub(now);
            let left = of_codes.map(|wait| wait.saturating_sub(passed));
            let left = left.filter(|left| !left.is_zero());
            left.map_or(Verdict::Go, Verdict::Wait)
                .max(self.verdict_at(counted, then))
        };
        let mut verdict = at(now);
        let mut then = now;
        // This ends: each wait is shorter than the one before, and none goes beyond a quarter of an
        // hour after the last failure.
        while let Verdict::Wait(left) = at(then) {
            then = then.saturating_add(left);
            verdict = Verdict::Wait(then.saturating_sub(now));
            if then == Duration::MAX {
                break;
            }
        }
        verdict
    }

    fn verdict_at(&self, counted: Counted, now: Duration) -> Verdict {
        match counted {
            Counted::Nowhere => Verdict::Go,
            Counted::Browser(browser) => self
                .browsers
                .row(browser)
                .map_or(Verdict::Go, |row| row.verdict(BROWSER, now)),
            Counted::Code(origin) => self.network_verdict(origin, now),
            Counted::Password(account, origin) => self
                .account_verdict(account, origin, now)
                .max(self.network_verdict(origin, now)),
        }
    }

    fn account_verdict(&self, account: Digest, origin: Network, now: Duration) -> Verdict {
        let from_network = self.from_networks.row((account, origin));
        let from_block = origin.block();
        let from_block = from_block.and_then(|block| self.from_blocks.row((account, block)));
        [
            from_network.map(|row| row.verdict(ACCOUNT_FROM_NETWORK, now)),
            from_block.map(|row| row.verdict(now)),
            self.accounts.row(account).map(|row| row.verdict(now)),
        ]
        .into_iter()
        .flatten()
        .fold(Verdict::Go, Verdict::max)
    }

    fn network_verdict(&self, origin: Network, now: Duration) -> Verdict {
        let network = self.networks.row(origin);
        let network = network.map(|row| row.verdict(self.limit(origin, now), now));
        let block = origin.block().and_then(|block| {
            let row = self.blocks.row(block)?;
            Some(row.verdict(self.block_limit(block, now), now))
        });
        network.max(block).unwrap_or(Verdict::Go)
    }

    /// A network's limit, which its members raise.
    fn limit(&self, origin: Network, now: Duration) -> Limit {
        let members = self.members.row(origin).map_or(0, |row| row.count(now));
        NETWORK.with_free(NETWORK.free.saturating_add(members))
    }

    fn block_limit(&self, block: Block, now: Duration) -> Limit {
        let members = self
            .block_members
            .row(block)
            .map_or(0, |row| row.count(now));
        NETWORK.with_free(NETWORK.free.saturating_add(members).saturating_mul(BLOCK))
    }

    /// Begins an attempt, if it does not come too early.
    fn begin(
        &mut self,
        counted: Counted,
        of_codes: Option<Duration>,
        now: Duration,
    ) -> (Verdict, Counted) {
        let verdict = self.verdict(counted, of_codes, now);
        if verdict == Verdict::Go {
            self.count(counted);
        }
        (verdict, counted)
    }

    /// As [`Throttle::begin_code`].
    fn begin_code(
        &mut self,
        from: CodeFrom,
        origin: Network,
        of_account: Option<Duration>,
        now: Duration,
    ) -> (Verdict, Counted) {
        let mut counted = Counted::code(from, origin);
        if from == CodeFrom::Excused && self.verdict(counted, None, now) != Verdict::Go {
            counted = Counted::Nowhere;
        }
        self.begin(counted, of_account, now)
    }

    /// Counts an attempt as undecided.
    fn count(&mut self, counted: Counted) {
        for key in counted.keys() {
            self.begin_in(key, counted.origin());
        }
    }

    fn decide(&mut self, counted: Counted, result: Decision) {
        for key in counted.keys() {
            self.decide_in(key, counted.origin(), result);
        }
    }

    /// Counts an attempt from this network in one row.
    fn begin_in(&mut self, key: Key, from: Option<Network>) {
        match (key, from) {
            (Key::FromNetwork(account, origin), _) => {
                self.from_networks.row_made((account, origin)).begin();
            }
            (Key::FromBlock(account, block), Some(from)) => {
                self.from_blocks.row_made((account, block)).begin(from);
            }
            (Key::Account(account), Some(from)) => {
                self.accounts.row_made(account).begin(Place::of(from));
            }
            (Key::Browser(browser), _) => self.browsers.row_made(browser).begin(),
            (Key::Network(origin), _) => self.networks.row_made(origin).begin(),
            (Key::Block(block), _) => self.blocks.row_made(block).begin(),
            (Key::Invited(invitation), _) => self.invited.row_made(invitation).begin(),
            // Nothing is undecided in the others.
            _ => {}
        }
    }

    /// Decides an attempt from this network in one row.
    fn decide_in(&mut self, key: Key, from: Option<Network>, result: Decision) {
        let at = match result {
            Decision::Failed(at) => at,
            Decision::TakenBack(_) => Duration::ZERO,
        };
        match (key, from) {
            (Key::FromNetwork(account, origin), _) => {
                let rows = &mut self.from_networks;
                decide(rows, (account, origin), result, |row| row.decide(result));
            }
            (Key::FromBlock(account, block), Some(from)) => {
                let rows = &mut self.from_blocks;
                decide(rows, (account, block), result, |row| {
                    row.decide(from, result);
                });
            }
            (Key::Account(account), Some(from)) => {
                decide(&mut self.accounts, account, result, |row| {
                    row.decide(Place::of(from), result);
                });
            }
            (Key::Browser(browser), _) => {
                decide(&mut self.browsers, browser, result, |row| {
                    row.decide(result);
                });
            }
            (Key::Network(origin), _) => {
                let limit = self.limit(origin, at);
                decide(&mut self.networks, origin, result, |row| {
                    row.decide(limit, result);
                });
            }
            (Key::Block(block), _) => {
                let limit = self.block_limit(block, at);
                decide(&mut self.blocks, block, result, |row| {
                    row.decide(limit, result);
                });
            }
            (Key::Invited(invitation), _) => {
                if let Some(row) = self.invited.row_if_there(invitation) {
                    row.decide(result);
                }
            }
            _ => {}
        }
    }

    fn note_member(&mut self, account: Digest, origin: Network, at: Duration) {
        self.members.row_made(origin).add(account, at);
        if let Some(block) = origin.block() {
            self.block_members.row_made(block).add(account, at);
        }
    }

    /// The claim of whoever makes an attempt that counts there.
    fn standing_of(&self, counted: Counted, origin: Network) -> Standing {
        match counted {
            Counted::Browser(_) => Standing::Known,
            _ => self.standing(origin),
        }
    }

    /// Failures that are too old to count do no harm here: all they decide is who goes first.
    fn standing(&self, origin: Network) -> Standing {
        let failures = self.networks.row(origin).map_or(0, OfLate::failures);
        let block = origin.block().and_then(|block| self.blocks.row(block));
        let of_block = block.map_or(0, OfLate::failures) / BLOCK as usize;
        Standing::Stranger {
            failures: failures.max(of_block),
        }
    }
}

/// Decides an attempt in its row. A row that has made room, or was cleared, is made again only for
/// a failure.
fn decide<K, V>(table: &mut Table<K, V>, key: K, result: Decision, decide: impl FnOnce(&mut V))
where
    K: Copy + Eq + Hash,
    V: Weight + Default,
{
    match result {
        Decision::Failed(_) => decide(table.row_made(key)),
        Decision::TakenBack(_) => {
            table.row_if_there(key).map(decide);
        }
    }
}

#[cfg(test)]
mod tests;
