//! Who has to wait: the counts of this process, or those of all nodes.

use std::net::IpAddr;
use std::time::Duration;

use crate::accounts::throttle::{
    self, CodeFrom, InvitedAttempt, Key, Standing, Target, Throttle, TooEarly,
};
use crate::accounts::token::Digest;
use crate::store::error::Unavailable;
#[cfg(feature = "postgres")]
use crate::store::postgres::counts::{self, Counts as OfAll};
use crate::store::{Kept, Store};

/// How often it is asked again whether attempts at other nodes have been decided.
#[cfg(feature = "postgres")]
const AGAIN: Duration = Duration::from_millis(100);

/// Counts attempts, and says who has to wait. Times of this process count only where it is alone.
pub struct Counts(Of);

enum Of {
    This(Box<Throttle>),
    #[cfg(feature = "postgres")]
    All(OfAll),
}

/// An attempt, counted as undecided until it is forgiven, or dropped, which makes it a failure.
#[must_use]
pub struct Attempt<'a>(Begun<'a>);

enum Begun<'a> {
    This(throttle::Attempt<'a>),
    Invited(InvitedAttempt<'a>),
    #[cfg(feature = "postgres")]
    All(counts::Begun<'a>),
}

/// Why an attempt may not be looked at now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotBegun {
    /// It depends on others that are being looked at; ask again when one of them is decided.
    Undecided,
    /// It has to wait that long, and is not counted.
    Wait(Duration),
    /// Nobody can be asked.
    Unavailable,
}

/// Why something that is counted by the hour is not to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is room after that.
    Wait(Duration),
    /// Nobody can be asked.
    Unavailable,
}

impl Attempt<'_> {
    /// The claim of whoever makes the attempt, before it is decided.
    pub fn standing(&self) -> Standing {
        match &self.0 {
            Begun::This(attempt) => attempt.standing(),
            Begun::Invited(_) => Standing::Stranger { failures: 0 },
            #[cfg(feature = "postgres")]
            Begun::All(begun) => begun.standing(),
        }
    }

    /// Takes it back: it was right, or was not looked at.
    pub fn forgive(self) {
        match self.0 {
            Begun::This(attempt) => attempt.forgive(),
            Begun::Invited(attempt) => attempt.forgive(),
            #[cfg(feature = "postgres")]
            Begun::All(begun) => begun.forgive(),
        }
    }
}

impl From<TooEarly> for NotBegun {
    fn from(why: TooEarly) -> Self {
        match why {
            TooEarly::Undecided => Self::Undecided,
            TooEarly::Wait(wait) => Self::Wait(wait),
        }
    }
}

impl Store {
    /// The counts that go with this store: those of this process, or of all nodes where a database
    /// has them. `registrations_per_hour` of zero is no limit.
    pub fn counts(&self, registrations_per_hour: u32) -> Counts {
        let alone = || Of::This(Box::new(Throttle::new(registrations_per_hour)));
        Counts(match &self.kept {
            #[cfg(feature = "postgres")]
            Kept::Database(database) => {
                let shared = std::sync::Arc::clone(database.shared());
                Of::All(OfAll::new(shared, registrations_per_hour))
            }
            Kept::Files(_) => alone(),
            #[cfg(test)]
            Kept::Memory(_) => alone(),
        })
    }
}

impl Counts {
    /// How often to ask again while others are undecided; `None` if nobody else decides any.
    pub fn ask_again(&self) -> Option<Duration> {
        match &self.0 {
            Of::This(_) => None,
            #[cfg(feature = "postgres")]
            Of::All(_) => Some(AGAIN),
        }
    }

    /// As [`Throttle::begin`].
    ///
    /// # Errors
    ///
    /// As there, or if nobody can be asked.
    pub fn begin(
        &self,
        target: Target,
        address: IpAddr,
        now: Duration,
    ) -> Result<Attempt<'_>, NotBegun> {
        Ok(Attempt(match &self.0 {
            Of::This(throttle) => Begun::This(throttle.begin(target, address, now)?),
            #[cfg(feature = "postgres")]
            Of::All(counts) => Begun::All(counts.begin(target, address)?),
        }))
    }

    /// As [`Throttle::begin_code`].
    ///
    /// # Errors
    ///
    /// As there, or if nobody can be asked.
    pub fn begin_code(
        &self,
        from: CodeFrom,
        address: IpAddr,
        of_account: Option<Duration>,
        now: Duration,
    ) -> Result<Attempt<'_>, NotBegun> {
        Ok(Attempt(match &self.0 {
            Of::This(throttle) => Begun::This(throttle.begin_code(from, address, of_account, now)?),
            #[cfg(feature = "postgres")]
            Of::All(counts) => Begun::All(counts.begin_code(from, address, of_account)?),
        }))
    }

    /// As [`Throttle::begin_invited`].
    ///
    /// # Errors
    ///
    /// As there, or if nobody can be asked.
    pub fn begin_invited(
        &self,
        invitation: Digest,
        now: Duration,
    ) -> Result<Attempt<'_>, NotBegun> {
        Ok(Attempt(match &self.0 {
            Of::This(throttle) => Begun::Invited(throttle.begin_invited(invitation, now)?),
            #[cfg(feature = "postgres")]
            Of::All(counts) => Begun::All(counts.begin_invited(invitation)?),
        }))
    }

    /// The claim of a stranger at this address.
    ///
    /// # Errors
    ///
    /// If nobody can be asked.
    pub fn standing(&self, address: IpAddr) -> Result<Standing, Unavailable> {
        match &self.0 {
            Of::This(throttle) => Ok(throttle.standing(address)),
            #[cfg(feature = "postgres")]
            Of::All(counts) => counts.standing(address),
        }
    }

    /// As [`Throttle::clear`].
    pub fn clear(&self, target: Target) {
        match &self.0 {
            Of::This(throttle) => throttle.clear(target),
            #[cfg(feature = "postgres")]
            Of::All(counts) => counts.clear(target),
        }
    }

    /// As [`Throttle::note_member`].
    pub fn note_member(&self, account: Digest, address: IpAddr, at: Duration) {
        match &self.0 {
            Of::This(throttle) => throttle.note_member(account, address, at),
            #[cfg(feature = "postgres")]
            Of::All(counts) => counts.note_member(account, address, at),
        }
    }

    /// As [`Throttle::recovery`].
    ///
    /// # Errors
    ///
    /// As there, or if nobody can be asked.
    pub fn recovery(&self, address: IpAddr, now: Duration) -> Result<(), Refused> {
        match &self.0 {
            Of::This(throttle) => throttle.recovery(address, now).map_err(Refused::Wait),
            #[cfg(feature = "postgres")]
            Of::All(counts) => counts.recovery(address),
        }
    }

    /// As [`Throttle::registration`]; gives the time at which it was counted.
    ///
    /// # Errors
    ///
    /// As there, or if nobody can be asked.
    pub fn registration(&self, address: IpAddr, now: Duration) -> Result<Duration, Refused> {
        match &self.0 {
            Of::This(throttle) => {
                let taken = throttle.registration(address, now);
                taken.map(|()| now).map_err(Refused::Wait)
            }
            #[cfg(feature = "postgres")]
            Of::All(counts) => counts.registration(address),
        }
    }

    /// As [`Throttle::forgive_registration`].
    pub fn forgive_registration(&self, address: IpAddr, at: Duration) {
        match &self.0 {
            Of::This(throttle) => throttle.forgive_registration(address, at),
            #[cfg(feature = "postgres")]
            Of::All(counts) => counts.forgive_registration(address, at),
        }
    }

    /// Counts one mail in all of these rows with their limits for an hour, or in none; gives when, or
    /// `None` if there is no room. Of a process that is alone nothing is counted here.
    ///
    /// # Errors
    ///
    /// If nobody can be asked.
    #[cfg_attr(
        not(feature = "postgres"),
        expect(unused_variables, reason = "a process that is alone counts elsewhere")
    )]
    pub fn mail(&self, rows: &[(Key, u32)]) -> Result<Option<Duration>, Unavailable> {
        match &self.0 {
            Of::This(_) => Ok(Some(Duration::ZERO)),
            #[cfg(feature = "postgres")]
            Of::All(counts) => counts.mail(rows),
        }
    }

    /// Uncounts a mail that could not be written.
    #[cfg_attr(
        not(feature = "postgres"),
        expect(unused_variables, reason = "a process that is alone counts elsewhere")
    )]
    pub fn take_mail_back(&self, rows: &[(Key, u32)], at: Duration) {
        match &self.0 {
            Of::This(_) => {}
            #[cfg(feature = "postgres")]
            Of::All(counts) => counts.take_mail_back(rows, at),
        }
    }

    /// As [`Throttle::wrong_token`].
    pub fn wrong_token(
        &self,
        token: Digest,
        address: IpAddr,
        now: Duration,
        is_guess: bool,
    ) -> bool {
        match &self.0 {
            Of::This(throttle) => throttle.wrong_token(token, address, now, is_guess),
            #[cfg(feature = "postgres")]
            Of::All(counts) => counts.wrong_token(token, address, is_guess),
        }
    }
}
