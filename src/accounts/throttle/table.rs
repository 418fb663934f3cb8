//! A table that strangers fill, and that is therefore bounded: when it is full, what matters least
//! makes room, and nobody is refused.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

/// What decides who makes room in a full table.
pub trait Weight {
    /// The row with the smallest weight goes. The weight is whether the row must not be lost
    /// lightly, and then its last time.
    fn weight(&self) -> (bool, Duration);
}

/// Rows by their keys, a bounded number.
pub struct Table<K, V> {
    rows: HashMap<K, V>,
    most: usize,
}

impl<K: Copy + Eq + Hash, V: Weight + Default> Table<K, V> {
    /// A table of at most `most` rows.
    pub fn new(most: usize) -> Self {
        Self {
            rows: HashMap::new(),
            most,
        }
    }

    /// The row with this key, if there is one.
    pub fn row(&self, key: K) -> Option<&V> {
        self.rows.get(&key)
    }

    /// The row with this key, if there is one, to be changed.
    pub fn row_if_there(&mut self, key: K) -> Option<&mut V> {
        self.rows.get_mut(&key)
    }

    /// The row with this key, made if it is not there.
    pub fn row_made(&mut self, key: K) -> &mut V {
        if self.rows.len() >= self.most && !self.rows.contains_key(&key) {
            let least = self.rows.iter().min_by_key(|(_, row)| row.weight());
            let least = least.map(|(key, _)| *key);
            least.map(|key| self.rows.remove(&key));
        }
        self.rows.entry(key).or_default()
    }

    /// Puts a row that was kept elsewhere.
    #[cfg(feature = "postgres")]
    pub fn put(&mut self, key: K, row: V) {
        self.rows.insert(key, row);
    }

    /// Removes the row with this key, if there is one.
    pub fn remove(&mut self, key: K) {
        self.rows.remove(&key);
    }

    /// Removes all rows with such keys.
    pub fn remove_if(&mut self, unwanted: impl Fn(&K) -> bool) {
        self.rows.retain(|key, _| !unwanted(key));
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.rows.len()
    }
}
