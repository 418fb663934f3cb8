//! The rows that one question is about, where the tables are kept elsewhere and shared: brought here,
//! judged by the same rules, and brought back.
//!
//! An attempt that is not decided yet is kept beside its row with an end, at which it counts as a
//! failure: whoever was to decide it may be no more.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::accounts::token::Digest;
use crate::network::Network;

use super::counts::{Decision, Hourly, Verdict};
use super::limits::{HOUR, MEMBERSHIP, WINDOW};
use super::table::{Table, Weight};
use super::{CodeFrom, Counted, Key, Standing, State, micros};

/// How long an attempt may be undecided: longer than it can wait for its turn and be looked at.
const UNDECIDED: Duration = Duration::from_secs(60);

/// How long failures in a row are kept after the last: as many more could have been made in that
/// time as are free again then.
const IN_A_ROW: Duration = Duration::from_secs(24 * 3600);

/// Rows and what they say, for one question.
pub struct Part {
    state: State,
    /// Mails within the hour, which a process that is alone counts elsewhere.
    mails: Table<Key, Hourly>,
    undecided: HashMap<Key, Vec<Undecided>>,
    now: Duration,
}

/// An attempt as its rows know it.
#[derive(Clone)]
pub struct Ticket {
    pub id: String,
    pub keys: Vec<Key>,
    pub from: Option<Network>,
    /// When it began.
    pub at: Duration,
}

#[derive(Clone, Deserialize, Serialize)]
struct Undecided {
    id: String,
    #[serde(with = "micros")]
    at: Duration,
    from: Option<Network>,
}

/// A row as it is kept.
#[derive(Deserialize, Serialize)]
struct Body<V> {
    row: V,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    undecided: Vec<Undecided>,
}

/// What is to be kept of a row.
pub struct Kept {
    pub body: String,
    /// After this it makes no difference.
    pub until: Duration,
    /// Whether it must not be lost lightly.
    pub is_heavy: bool,
}

/// Does something with the table of a key, and the key in it.
macro_rules! in_its_table {
    ($part:expr, $key:expr, $do:expr) => {{
        let (state, mails) = (&mut $part.state, &mut $part.mails);
        match $key {
            Key::FromNetwork(account, origin) => $do(&mut state.from_networks, (account, origin)),
            Key::FromBlock(account, block) => $do(&mut state.from_blocks, (account, block)),
            Key::Account(account) => $do(&mut state.accounts, account),
            Key::Browser(browser) => $do(&mut state.browsers, browser),
            Key::Network(origin) => $do(&mut state.networks, origin),
            Key::Block(block) => $do(&mut state.blocks, block),
            Key::Members(origin) => $do(&mut state.members, origin),
            Key::BlockMembers(block) => $do(&mut state.block_members, block),
            Key::Recoveries(origin) => $do(&mut state.recoveries, origin),
            Key::BlockRecoveries(block) => $do(&mut state.block_recoveries, block),
            Key::Registrations(origin) => $do(&mut state.registrations, origin),
            Key::BlockRegistrations(block) => $do(&mut state.block_registrations, block),
            Key::Invited(invitation) => $do(&mut state.invited, invitation),
            Key::WrongToken(token, origin) => $do(&mut state.wrong_tokens, (token, origin)),
            key @ (Key::Mailed(_)
            | Key::Unproven(_)
            | Key::UnprovenFrom(_)
            | Key::UnprovenInAll) => $do(mails, key),
        }
    }};
}

impl Part {
    /// The rows as they were kept, at this moment.
    ///
    /// # Errors
    ///
    /// Which of them cannot be one.
    pub fn of(rows: &[(Key, String)], now: Duration) -> Result<Self, (Key, serde_json::Error)> {
        let mut part = Self {
            state: State::new(),
            mails: Table::new(usize::MAX),
            undecided: HashMap::new(),
            now,
        };
        let mut read = Vec::new();
        for (key, body) in rows {
            let load = Load { body };
            let undecided = in_its_table!(part, *key, |table, key| load.into(table, key));
            read.push((*key, undecided.map_err(|error| (*key, error))?));
        }
        // Once all rows are there: limits depend on others.
        for (key, undecided) in read {
            part.take_up(key, undecided);
        }
        Ok(part)
    }

    fn take_up(&mut self, key: Key, undecided: Vec<Undecided>) {
        for one in &undecided {
            self.state.begin_in(key, one.from);
        }
        let is_over = |one: &Undecided| self.now.saturating_sub(one.at) >= UNDECIDED;
        let (over, left): (Vec<_>, Vec<_>) = undecided.into_iter().partition(is_over);
        for one in over {
            self.state
                .decide_in(key, one.from, Decision::Failed(one.at));
        }
        self.undecided.insert(key, left);
    }

    /// What is to be kept of a row; `None` if there is nothing.
    pub fn kept(&mut self, key: Key) -> Option<Kept> {
        let undecided = self.undecided.get(&key).map_or(&[][..], Vec::as_slice);
        let lasts = match key {
            Key::Network(_) | Key::Block(_) | Key::WrongToken(..) => WINDOW,
            Key::Members(_) | Key::BlockMembers(_) => MEMBERSHIP,
            Key::FromNetwork(..) | Key::FromBlock(..) | Key::Account(_) | Key::Browser(_) => {
                IN_A_ROW
            }
            _ => HOUR,
        };
        let save = Save { undecided, lasts };
        in_its_table!(self, key, |table, key| save.from(table, key))
    }

    /// Begins an attempt, if it does not come too early.
    pub fn begin(
        &mut self,
        id: &str,
        counted: Counted,
        of_codes: Option<Duration>,
    ) -> (Verdict, Ticket) {
        let (verdict, counted) = self.state.begin(counted, of_codes, self.now);
        (verdict, self.note(id, verdict, counted))
    }

    /// As [`Throttle::begin_code`](super::Throttle::begin_code).
    pub fn begin_code(
        &mut self,
        id: &str,
        (from, origin): (CodeFrom, Network),
        of_account: Option<Duration>,
    ) -> (Verdict, Ticket) {
        let asked = self.state.begin_code(from, origin, of_account, self.now);
        (asked.0, self.note(id, asked.0, asked.1))
    }

    /// As [`Throttle::begin_invited`](super::Throttle::begin_invited).
    pub fn begin_invited(&mut self, id: &str, invitation: Digest) -> (Verdict, Ticket) {
        let verdict = self.state.begin_invited(invitation, self.now);
        let ticket = self.ticket(id, vec![Key::Invited(invitation)], None);
        if verdict == Verdict::Go {
            self.add(&ticket);
        }
        (verdict, ticket)
    }

    fn note(&mut self, id: &str, verdict: Verdict, counted: Counted) -> Ticket {
        let ticket = self.ticket(id, counted.keys(), counted.origin());
        if verdict == Verdict::Go {
            self.add(&ticket);
        }
        ticket
    }

    fn ticket(&self, id: &str, keys: Vec<Key>, from: Option<Network>) -> Ticket {
        let (id, at) = (id.to_owned(), self.now);
        Ticket { id, keys, from, at }
    }

    fn add(&mut self, ticket: &Ticket) {
        for key in &ticket.keys {
            self.undecided.entry(*key).or_default().push(Undecided {
                id: ticket.id.clone(),
                at: ticket.at,
                from: ticket.from,
            });
        }
    }

    /// Decides an attempt. Where it is no longer undecided after its time, it has been counted as a
    /// failure; where it is not before, the row was cleared.
    pub fn decide(&mut self, ticket: &Ticket, is_forgiven: bool) {
        let is_over = self.now.saturating_sub(ticket.at) >= UNDECIDED;
        for key in &ticket.keys {
            let undecided = self.undecided.entry(*key).or_default();
            let index = undecided.iter().position(|one| one.id == ticket.id);
            let at = match index {
                Some(index) => undecided.remove(index).at,
                None if is_forgiven || is_over => continue,
                None => {
                    self.state.begin_in(*key, ticket.from);
                    ticket.at
                }
            };
            let decision = Decision::of(is_forgiven, at);
            self.state.decide_in(*key, ticket.from, decision);
        }
    }

    /// As [`Attempt::standing`](super::Attempt::standing).
    pub fn standing(&self, ticket: &Ticket) -> Standing {
        match (ticket.keys.as_slice(), ticket.from) {
            ([Key::Browser(_)], _) => Standing::Known,
            (_, Some(origin)) => self.state.standing(origin),
            (_, None) => Standing::Stranger { failures: 0 },
        }
    }

    /// The claim of a stranger from this network.
    pub fn standing_of(&self, origin: Network) -> Standing {
        self.state.standing(origin)
    }

    /// As [`Throttle::note_member`](super::Throttle::note_member).
    pub fn note_member(&mut self, account: Digest, origin: Network, at: Duration) {
        self.state.note_member(account, origin, at);
    }

    /// As [`Throttle::recovery`](super::Throttle::recovery).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn recovery(&mut self, origin: Network) -> Result<(), Duration> {
        self.state.take_recovery(origin, self.now)
    }

    /// As [`Throttle::registration`](super::Throttle::registration); gives when it was counted.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn registration(&mut self, origin: Network, limit: u32) -> Result<Duration, Duration> {
        let taken = self.state.take_registration(origin, limit, self.now);
        taken.map(|()| self.now)
    }

    /// As [`Throttle::forgive_registration`](super::Throttle::forgive_registration).
    pub fn forgive_registration(&mut self, origin: Network, at: Duration) {
        self.state.forgive_registration(origin, at);
    }

    /// Counts one mail in all of these rows with their limits for an hour, or in none; gives when.
    ///
    /// # Errors
    ///
    /// How long to wait, if there is no room for one more in one of them.
    pub fn mail(&mut self, rows: &[(Key, u32)]) -> Result<Duration, Duration> {
        let wait = |(key, limit): &(Key, u32)| self.mails.row(*key)?.wait(*limit, self.now);
        if let Some(wait) = rows.iter().filter_map(wait).max() {
            return Err(wait);
        }
        for (key, _) in rows {
            self.mails.row_made(*key).add(self.now);
        }
        Ok(self.now)
    }

    /// Uncounts a mail that was counted at this time.
    pub fn take_mail_back(&mut self, rows: &[(Key, u32)], at: Duration) {
        for (key, _) in rows {
            if let Some(row) = self.mails.row_if_there(*key) {
                row.take_back(at);
            }
        }
    }

    /// As [`Throttle::wrong_token`](super::Throttle::wrong_token).
    pub fn wrong_token(&mut self, of: (Digest, Network), is_guess: bool) -> bool {
        self.state.wrong_token(of, self.now, is_guess)
    }
}

struct Load<'a> {
    body: &'a str,
}

impl Load<'_> {
    fn into<K, V>(self, table: &mut Table<K, V>, key: K) -> serde_json::Result<Vec<Undecided>>
    where
        K: Copy + Eq + Hash,
        V: Weight + Default + DeserializeOwned,
    {
        // A row that was only just made.
        if self.body.is_empty() {
            return Ok(Vec::new());
        }
        let Body { row, undecided } = serde_json::from_str(self.body)?;
        table.put(key, row);
        Ok(undecided)
    }
}

struct Save<'a> {
    undecided: &'a [Undecided],
    lasts: Duration,
}

impl Save<'_> {
    fn from<K, V>(self, table: &mut Table<K, V>, key: K) -> Option<Kept>
    where
        K: Copy + Eq + Hash,
        V: Weight + Default + Serialize,
    {
        let row = table.row(key)?;
        let (is_heavy, last) = row.weight();
        let undecided = self.undecided.to_vec();
        let last = undecided.iter().map(|one| one.at).fold(last, Duration::max);
        Some(Kept {
            body: serde_json::to_string(&Body { row, undecided }).ok()?,
            until: last.saturating_add(self.lasts),
            is_heavy,
        })
    }
}
