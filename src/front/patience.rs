//! Clients that are told to wait but ask again at once are answered late.
//!
//! A refusal costs next to nothing, but a crowd that asks without a pause makes thousands of them a
//! second and leaves no processor for honest logins. When they are held back, each connection makes
//! only one a second. Nobody who waits as told ever notices.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::network::Network;

/// Refusals within a second, for everybody together, that are not a load worth fighting.
const CALM: u32 = 50;

/// Beyond that, refusals that a network still gets at once: more than anybody causes by hand.
const FREE: u32 = 3;

/// How long each further one is held back.
const HELD: Duration = Duration::from_secs(1);

/// Counts refusals by network, one second at a time, so the table never holds more than the answers
/// of one second.
pub struct Patience {
    second: Mutex<Second>,
}

struct Second {
    began: Instant,
    total: u32,
    refused: HashMap<Network, u32>,
}

impl Patience {
    /// Nobody has been refused yet; the first second begins at `now`.
    pub fn new(now: Instant) -> Self {
        Self {
            second: Mutex::new(Second {
                began: now,
                total: 0,
                refused: HashMap::new(),
            }),
        }
    }

    /// Counts a refusal for this client; gives how long to hold it back.
    pub fn refuse(&self, client: IpAddr, now: Instant) -> Duration {
        // A count is one number: after a panic it is one short at most.
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(second.began) >= HELD {
            second.began = now;
            second.total = 0;
            second.refused.clear();
        }
        second.total = second.total.saturating_add(1);
        let calm = second.total <= CALM;
        let count = second.refused.entry(Network::of(client)).or_default();
        *count = count.saturating_add(1);
        if calm || *count <= FREE {
            Duration::ZERO
        } else {
            HELD
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_that_asks_again_without_a_pause_is_held_back_and_nobody_else() {
        let begun = Instant::now();
        let patience = Patience::new(begun);
        let address = |text: &str| text.parse().unwrap();
        for _ in 0..CALM {
            assert!(patience.refuse(address("2001:db8::1"), begun).is_zero());
        }

        assert_eq!(patience.refuse(address("2001:db8::1"), begun), HELD);
        assert_eq!(patience.refuse(address("2001:db8::2"), begun), HELD);

        let other: Vec<Duration> = (0..4)
            .map(|_| patience.refuse(address("192.0.2.1"), begun))
            .collect();
        let none = Duration::ZERO;
        assert_eq!(other, [none, none, none, HELD]);
        let later = begun + Duration::from_secs(1);
        assert_eq!(patience.refuse(address("2001:db8::1"), later), none);
    }
}
