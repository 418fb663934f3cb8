//! Wrong access tokens. They cannot be guessed, and programs that have an old one ask again and
//! again, so the same one is told of and counts once in a while.

use std::net::IpAddr;
use std::time::Duration;

use crate::accounts::token::Digest;
use crate::network::Network;

use super::Throttle;
use super::counts::Decision;
use super::limits::WINDOW;
use super::table::Weight;

/// When a wrong token was last told of.
#[derive(Default)]
pub(super) struct Counted(Option<Duration>);

impl Weight for Counted {
    fn weight(&self) -> (bool, Duration) {
        (false, self.0.unwrap_or_default())
    }
}

impl Throttle {
    /// Notes that a token was refused to a network, and says whether it was not yet within
    /// [`WINDOW`]. A guess, which nobody has, then counts against the network.
    pub fn wrong_token(
        &self,
        token: Digest,
        address: IpAddr,
        now: Duration,
        is_guess: bool,
    ) -> bool {
        let (origin, mut state) = (Network::of(address), self.state());
        let last = state.wrong_tokens.row_made((token, origin));
        if last.0.is_some_and(|last| now.saturating_sub(last) < WINDOW) {
            return false;
        }
        last.0 = Some(now);
        if is_guess {
            state.begin_from(origin);
            state.decide_from(origin, Decision::Failed(now));
        }
        true
    }
}
