//! Wrong access tokens. They cannot be guessed, and programs that have an old one ask again and
//! again, so the same one is told of and counts once in a while.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::accounts::token::Digest;
use crate::network::Network;

use super::counts::{Decision, Verdict};
use super::limits::WINDOW;
use super::table::Weight;
use super::{Counted as Attempted, State, Throttle, micros};

/// When a wrong token was last told of.
#[derive(Default, Deserialize, Serialize)]
pub(super) struct Counted(#[serde(with = "micros::perhaps")] Option<Duration>);

impl Weight for Counted {
    fn weight(&self) -> (bool, Duration) {
        (false, self.0.unwrap_or_default())
    }
}

impl Throttle {
    /// Notes that a token was refused to a network, and says whether it was not yet within
    /// [`WINDOW`]. A guess, which nobody has, then counts against the network, unless that has to wait
    /// already: what costs nothing must not lengthen the wait of all who share the address.
    pub fn wrong_token(
        &self,
        token: Digest,
        address: IpAddr,
        now: Duration,
        is_guess: bool,
    ) -> bool {
        let origin = Network::of(address);
        self.state().wrong_token((token, origin), now, is_guess)
    }
}

impl State {
    /// As [`Throttle::wrong_token`].
    pub(super) fn wrong_token(
        &mut self,
        (token, origin): (Digest, Network),
        now: Duration,
        is_guess: bool,
    ) -> bool {
        let last = self.wrong_tokens.row_made((token, origin));
        if last.0.is_some_and(|last| now.saturating_sub(last) < WINDOW) {
            return false;
        }
        last.0 = Some(now);
        let counted = Attempted::Code(origin);
        if is_guess && self.verdict(counted, None, now) == Verdict::Go {
            self.count(counted);
            self.decide(counted, Decision::Failed(now));
        }
        true
    }
}
