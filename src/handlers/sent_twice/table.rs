//! Work in progress, and its results for a minute after: whoever brings the same key during the
//! work waits, and whoever brings it later gets the same result.
//!
//! Strangers fill the table, so its memory is bounded. When it is full, the network that has most
//! of it makes room, so that one network can push out only its own results.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::accounts::token::Digest;
use crate::network::{Block, Network};

/// How long a result is kept.
const KEPT_FOR: Duration = Duration::from_secs(60);

/// Most memory for results, in bytes: some thousand answers, more than two cores can hash passwords
/// for within the minute.
const MAX_BYTES: usize = 4 << 20;

/// About what a row takes besides the result in it, in bytes.
const ROW: usize = 256;

/// Most requests that wait for one result: more than an impatient person makes.
const MAX_WAITING: u32 = 8;

/// Most requests that wait in all, so that connections are left for others.
const MAX_ALL_WAITING: u32 = 256;

/// The steady clock.
type Clock = Box<dyn Fn() -> Duration + Send + Sync>;

/// Work in progress and its results, by key.
pub struct Table<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    rows: Mutex<Rows<T>>,
    decided: Condvar,
    filled: Condvar,
    now: Clock,
}

/// What becomes of somebody who brings a key.
pub enum Begun<'a, T> {
    First(UnderWay<'a, T>),
    Again(Arc<T>),
}

/// Too many requests wait already.
pub struct Crowded;

impl<T: Send + Sync + 'static> Table<T> {
    /// Starts the thread that forgets. `now` is the steady clock.
    ///
    /// # Errors
    ///
    /// If the system has no thread left.
    pub fn open(now: impl Fn() -> Duration + Send + Sync + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            rows: Mutex::new(Rows::new()),
            decided: Condvar::new(),
            filled: Condvar::new(),
            now: Box::new(now),
        });
        let forgetting = Arc::clone(&shared);
        thread::Builder::new()
            .name("sent-twice".to_owned())
            .stack_size(64 * 1024)
            .spawn(move || forgetting.forget_in_time())?;
        Ok(Self { shared })
    }

    /// Makes the caller the first with this key, or gives the result. Waits while it is worked on.
    ///
    /// # Errors
    ///
    /// If too many wait already.
    pub fn begin(&self, key: Digest) -> Result<Begun<'_, T>, Crowded> {
        let mut rows = self.shared.lock();
        let mut waits = false;
        loop {
            let found = rows.look((self.shared.now)(), key);
            if waits && !matches!(found, Found::UnderWay) {
                rows.leave(key);
            }
            match found {
                Found::Kept(what) => return Ok(Begun::Again(what)),
                Found::Nothing => {
                    rows.take_up(key);
                    let of = &self.shared;
                    return Ok(Begun::First(UnderWay { of, key }));
                }
                Found::UnderWay if !waits => rows.join(key)?,
                Found::UnderWay => {}
            }
            waits = true;
            let woken = self.shared.decided.wait(rows);
            rows = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Forgets what is kept under a key, unless it is something else by now.
    pub fn forget(&self, key: Digest, what: &Arc<T>) {
        let mut rows = self.shared.lock();
        let is_same = |kept: &Kept<T>| Arc::ptr_eq(&kept.what, what);
        if rows.kept(key).is_some_and(is_same) {
            rows.clear(key);
        }
    }
}

/// A key that is being worked on. Those who wait for it go on when this is dropped, for whatever
/// reason.
pub struct UnderWay<'a, T> {
    of: &'a Shared<T>,
    key: Digest,
}

impl<T> UnderWay<'_, T> {
    /// Keeps the result, which takes `bytes` of memory and was asked for by the network `from`;
    /// also under a second key, if there is one.
    pub fn keep(self, what: T, bytes: usize, from: Network, also: Option<Digest>) {
        let until = (self.of.now)().saturating_add(KEPT_FOR);
        let what = Arc::new(what);
        let mut rows = self.of.lock();
        for key in [Some(self.key), also].into_iter().flatten() {
            let (what, bytes) = (Arc::clone(&what), bytes.saturating_add(ROW));
            let kept = Kept {
                what,
                bytes,
                from,
                until,
            };
            rows.keep(key, kept);
        }
        drop(rows);
        self.of.filled.notify_one();
    }
}

impl<T> Drop for UnderWay<'_, T> {
    fn drop(&mut self) {
        let mut rows = self.of.lock();
        if rows.is_under_way(self.key) {
            rows.clear(self.key);
        }
        drop(rows);
        self.of.decided.notify_all();
    }
}

impl<T> Shared<T> {
    /// A panic elsewhere leaves at most a row too many, for its minute.
    fn lock(&self) -> MutexGuard<'_, Rows<T>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees to it that no result outlives its minute by more than a second, even if no more
    /// requests come.
    fn forget_in_time(&self) {
        loop {
            let mut rows = self.lock();
            rows.forget_old((self.now)());
            while rows.bytes == 0 {
                let woken = self.filled.wait(rows);
                rows = woken.unwrap_or_else(PoisonError::into_inner);
            }
            drop(rows);
            thread::sleep(Duration::from_secs(1));
        }
    }
}

struct Rows<T> {
    by_key: HashMap<Digest, Row<T>>,
    /// In all rows.
    waiting: u32,
    /// Bytes kept: in all, of each network, and of each /48.
    bytes: usize,
    of_networks: HashMap<Network, usize>,
    of_blocks: HashMap<Block, usize>,
}

struct Row<T> {
    stage: Stage<T>,
    /// How many wait, including those that are about to go on.
    waiting: u32,
}

enum Stage<T> {
    /// The first gave no result, so the next of those that wait becomes the first.
    Open,
    UnderWay,
    Kept(Kept<T>),
}

struct Kept<T> {
    what: Arc<T>,
    bytes: usize,
    from: Network,
    until: Duration,
}

enum Found<T> {
    Nothing,
    UnderWay,
    Kept(Arc<T>),
}

impl<T> Rows<T> {
    fn new() -> Self {
        Self {
            by_key: HashMap::new(),
            waiting: 0,
            bytes: 0,
            of_networks: HashMap::new(),
            of_blocks: HashMap::new(),
        }
    }

    fn look(&self, now: Duration, key: Digest) -> Found<T> {
        match self.by_key.get(&key).map(|row| &row.stage) {
            Some(Stage::Kept(kept)) if now < kept.until => Found::Kept(Arc::clone(&kept.what)),
            Some(Stage::UnderWay) => Found::UnderWay,
            _ => Found::Nothing,
        }
    }

    fn kept(&self, key: Digest) -> Option<&Kept<T>> {
        match &self.by_key.get(&key)?.stage {
            Stage::Kept(kept) => Some(kept),
            _ => None,
        }
    }

    fn is_under_way(&self, key: Digest) -> bool {
        let stage = self.by_key.get(&key).map(|row| &row.stage);
        matches!(stage, Some(Stage::UnderWay))
    }

    fn join(&mut self, key: Digest) -> Result<(), Crowded> {
        let row = self.by_key.get_mut(&key);
        let row = row.filter(|row| row.waiting < MAX_WAITING && self.waiting < MAX_ALL_WAITING);
        row.ok_or(Crowded)?.waiting += 1;
        self.waiting += 1;
        Ok(())
    }

    fn leave(&mut self, key: Digest) {
        self.waiting = self.waiting.saturating_sub(1);
        if let Some(row) = self.by_key.get_mut(&key) {
            row.waiting = row.waiting.saturating_sub(1);
        }
    }

    fn take_up(&mut self, key: Digest) {
        self.set(key, Stage::UnderWay);
    }

    fn keep(&mut self, key: Digest, kept: Kept<T>) {
        let (bytes, from) = (kept.bytes, kept.from);
        self.set(key, Stage::Kept(kept));
        self.bytes = self.bytes.saturating_add(bytes);
        add(&mut self.of_networks, from, bytes);
        if let Some(block) = from.block() {
            add(&mut self.of_blocks, block, bytes);
        }
        while self.bytes > MAX_BYTES && self.make_room() {}
    }

    /// Leaves the row to those that wait for it.
    fn clear(&mut self, key: Digest) {
        self.set(key, Stage::Open);
        if self.by_key.get(&key).is_some_and(|row| row.waiting == 0) {
            self.by_key.remove(&key);
        }
    }

    fn set(&mut self, key: Digest, stage: Stage<T>) {
        let row = self.by_key.entry(key).or_insert(Row {
            stage: Stage::Open,
            waiting: 0,
        });
        if let Stage::Kept(old) = std::mem::replace(&mut row.stage, stage) {
            self.bytes = self.bytes.saturating_sub(old.bytes);
            take(&mut self.of_networks, old.from, old.bytes);
            if let Some(block) = old.from.block() {
                take(&mut self.of_blocks, block, old.bytes);
            }
        }
    }

    /// Forgets the oldest result of the network that has most, within the /48 that has most. False
    /// if there is nothing to forget.
    fn make_room(&mut self) -> bool {
        let share = |(network, bytes): &(&Network, &usize)| {
            let of_block = network.block().and_then(|block| self.of_blocks.get(&block));
            (*of_block.unwrap_or(*bytes), **bytes)
        };
        let largest = self.of_networks.iter().max_by_key(share);
        let largest = largest.map(|(network, _)| *network);
        let theirs = self
            .by_key
            .iter()
            .filter_map(|(key, row)| match &row.stage {
                Stage::Kept(kept) if Some(kept.from) == largest => Some((kept.until, *key)),
                _ => None,
            });
        let oldest = theirs.min_by_key(|(until, _)| *until);
        oldest.map(|(_, key)| self.clear(key)).is_some()
    }

    fn forget_old(&mut self, now: Duration) {
        let rows = self.by_key.iter();
        let old = rows.filter(|(_, row)| match &row.stage {
            Stage::Kept(kept) => kept.until <= now,
            _ => false,
        });
        let old: Vec<Digest> = old.map(|(key, _)| *key).collect();
        for key in old {
            self.clear(key);
        }
    }
}

fn add<K: Eq + std::hash::Hash>(shares: &mut HashMap<K, usize>, key: K, bytes: usize) {
    let share = shares.entry(key).or_default();
    *share = share.saturating_add(bytes);
}

fn take<K: Eq + std::hash::Hash>(shares: &mut HashMap<K, usize>, key: K, bytes: usize) {
    if let Some(share) = shares.get_mut(&key) {
        *share = share.saturating_sub(bytes);
        if *share == 0 {
            shares.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests;
