//! How many connections the system's limits leave room for.

use std::thread;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::front::StartError;
use crate::memory;

/// Servers for each core: a request holds one for some hundredths of a millisecond.
const INNER_PER_CORE: usize = 2;
const LEAST_INNER: usize = 16;
const MOST_INNER: usize = 64;
const MOST_CONNECTIONS: usize = 1024;
/// Our end of the connection, and two for tiny_http, which clones its end.
const DESCRIPTORS_PER_INNER: usize = 3;
/// Standard streams, listener, signals, certificate, store, mail and log.
const RESERVED: usize = 24;
/// Address space of a server, in bytes: tiny_http starts it with several threads, one of which
/// stays.
const MEMORY_PER_INNER: u64 = 2 << 20;
/// Bytes of address space below which no connection would be taken: the rest is kept for more
/// important things.
const LEAST_MEMORY: u64 = 48 << 20;
/// Open files below which there would be no room for two clients and two requests.
const LEAST: usize = RESERVED + 2 * DESCRIPTORS_PER_INNER + 2;

/// What fits under the limit of open files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Servers of tiny_http, each with one connection.
    pub inner: usize,
    pub connections: usize,
}

impl Room {
    /// Raises the limit of open files as far as possible and computes what fits under it and into
    /// memory. Memory bounds connections too, but only when they come.
    ///
    /// # Errors
    ///
    /// If the limits are too low to serve anybody.
    pub fn claim() -> Result<Self, StartError> {
        let limit = raise();
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let room = Self::under(limit, cores).ok_or_else(|| StartError {
            what: format!("serve with a limit of {limit} open files"),
            hint: format!(
                "raise it, for instance with ulimit -n 1024; at least {LEAST} are needed"
            ),
        })?;
        let Some(left) = memory::left() else {
            return Ok(room);
        };
        room.within(left).ok_or_else(|| StartError {
            what: format!("serve with {} MiB of address space left", left >> 20),
            hint: format!(
                "raise its limit, for instance with ulimit -v unlimited; at least {} MiB must be left",
                LEAST_MEMORY >> 20
            ),
        })
    }

    /// What is left when so many descriptors are needed besides, as long as two connections are.
    pub fn without(self, descriptors: usize) -> Self {
        let connections = self.connections.saturating_sub(descriptors).max(2);
        Self {
            connections: connections.min(self.connections),
            ..self
        }
    }

    /// The same, with more servers, if there is room: where requests wait for a database, others must
    /// not wait behind them when it does not answer.
    #[cfg(feature = "postgres")]
    pub fn for_waiting(self) -> Self {
        let inner = self.inner.max(MOST_INNER);
        let more = (inner - self.inner) * DESCRIPTORS_PER_INNER;
        let Some(connections) = self.connections.checked_sub(more) else {
            return self;
        };
        let grown = Self { inner, connections };
        match memory::left() {
            _ if connections < inner => self,
            None => grown,
            Some(left) => grown.within(left).unwrap_or(self),
        }
    }

    /// Only an eighth of the memory is for servers: nearly all of it is for accounts and
    /// connections.
    fn within(self, memory: u64) -> Option<Self> {
        let fit = usize::try_from(memory / 8 / MEMORY_PER_INNER).unwrap_or(usize::MAX);
        (memory >= LEAST_MEMORY).then(|| Self {
            inner: self.inner.min(fit),
            ..self
        })
    }

    /// Where descriptors are few, a fifth of them is for servers.
    fn under(limit: usize, cores: usize) -> Option<Self> {
        let left = limit.checked_sub(RESERVED).filter(|_| limit >= LEAST)?;
        let wanted = cores.saturating_mul(INNER_PER_CORE);
        let wanted = wanted.clamp(LEAST_INNER, MOST_INNER);
        let inner = (left / 5 / DESCRIPTORS_PER_INNER).clamp(1, wanted);
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
    // `None` means that there is no limit.
    getrlimit(Resource::Nofile)
        .current
        .map_or(usize::MAX, |limit| {
            usize::try_from(limit).unwrap_or(usize::MAX)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "postgres")]
    #[test]
    fn there_are_more_servers_for_a_store_that_is_waited_for_if_there_is_room() {
        let small = Room::under(64, 2).unwrap();
        assert_eq!(small.for_waiting(), small);

        let usual = Room::under(1024, 2).unwrap();
        let grown = usual.for_waiting();
        assert_eq!(grown.inner, MOST_INNER);
        let descriptors = |room: Room| room.connections + room.inner * DESCRIPTORS_PER_INNER;
        assert_eq!(descriptors(grown), descriptors(usual));
    }

    #[test]
    fn a_small_limit_still_leaves_room_to_serve() {
        let room = Room::under(64, 2).unwrap();
        assert_eq!((room.inner, room.connections), (2, 34));
        assert!(Room::under(LEAST, 2).is_some());
        assert!(Room::under(LEAST - 1, 2).is_none());
    }

    #[test]
    fn a_large_limit_gives_the_full_caps() {
        for limit in [1300, 20_000, usize::MAX] {
            for (cores, inner) in [(1, 16), (4, 16), (12, 24), (500, 64)] {
                let room = Room::under(limit, cores).unwrap();
                let most = limit - RESERVED - inner * DESCRIPTORS_PER_INNER;
                assert_eq!((room.inner, room.connections), (inner, most.min(1024)));
            }
        }
    }

    #[test]
    fn little_memory_leaves_room_for_few_servers() {
        let room = Room::under(20_000, 2).unwrap();
        assert_eq!(room.within(60 << 20).unwrap().inner, 3);
        assert_eq!(room.within(1 << 40), Some(room));
        assert_eq!(room.within(LEAST_MEMORY - 1), None);
    }

    #[test]
    fn no_limit_is_ever_exceeded() {
        for limit in LEAST..3000 {
            let room = Room::under(limit, 64).unwrap();
            assert!(room.inner >= 1 && room.connections >= 2);
            assert!(RESERVED + room.inner * DESCRIPTORS_PER_INNER + room.connections <= limit);
        }
    }
}
