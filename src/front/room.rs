//! How many connections the system's limits leave room for.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::front::StartError;

/// Enough that the hashing gate, not the relay, is what requests wait at.
const MOST_INNER: usize = 64;
const MOST_CONNECTIONS: usize = 1024;
/// Ours, and the two of tiny_http, which clones its end.
const DESCRIPTORS_PER_INNER: usize = 3;
/// Standard streams, listener, signals, certificate, store, mail and log.
const RESERVED: usize = 24;
/// Below this there would be no room for two clients and two requests.
const LEAST: usize = RESERVED + 2 * DESCRIPTORS_PER_INNER + 2;

/// What fits under the limit of open files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    pub inner: usize,
    pub connections: usize,
}

impl Room {
    /// Raises the limit of open files as far as it goes and sees what fits under it.
    ///
    /// # Errors
    ///
    /// When it is too low to serve anybody.
    pub fn claim() -> Result<Self, StartError> {
        let limit = raise();
        Self::under(limit).ok_or_else(|| StartError {
            what: format!("serve with a limit of {limit} open files"),
            hint: format!(
                "raise it, for instance with ulimit -n 1024; at least {LEAST} are needed"
            ),
        })
    }

    fn under(limit: usize) -> Option<Self> {
        let left = limit.checked_sub(RESERVED).filter(|_| limit >= LEAST)?;
        let inner = (left / 2 / DESCRIPTORS_PER_INNER).clamp(1, MOST_INNER);
        Some(Self {
            inner,
            connections: (left - inner * DESCRIPTORS_PER_INNER).min(MOST_CONNECTIONS),
        })
    }
}

fn raise() -> usize {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "cannot raise the limit of open files");
        }
    }
    // No limit reads as none.
    getrlimit(Resource::Nofile)
        .current
        .map_or(usize::MAX, |limit| {
            usize::try_from(limit).unwrap_or(usize::MAX)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_limit_still_leaves_room_to_serve() {
        let room = Room::under(64).unwrap();
        assert_eq!((room.inner, room.connections), (6, 22));
        assert!(Room::under(LEAST).is_some());
        assert!(Room::under(LEAST - 1).is_none());
    }

    #[test]
    fn a_large_limit_gives_the_full_caps() {
        for limit in [1300, 20_000, usize::MAX] {
            let room = Room::under(limit).unwrap();
            assert_eq!((room.inner, room.connections), (64, 1024));
        }
    }

    #[test]
    fn no_limit_is_ever_exceeded() {
        for limit in LEAST..3000 {
            let room = Room::under(limit).unwrap();
            assert!(room.inner >= 1 && room.connections >= 2);
            assert!(RESERVED + room.inner * DESCRIPTORS_PER_INNER + room.connections <= limit);
        }
    }
}
