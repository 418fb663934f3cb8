//! Times as whole microseconds, which is what a database knows.

use std::time::Duration;

use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

fn of(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

pub fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    of(*time).serialize(serializer)
}

pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_micros)
}

/// A time that may be missing.
pub mod perhaps {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use super::of;

    pub fn serialize<S: Serializer>(time: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        time.map(of).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        let time = Option::<u64>::deserialize(from)?;
        Ok(time.map(Duration::from_micros))
    }
}

/// Times in order.
pub mod all {
    use std::collections::VecDeque;
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::of;

    pub fn serialize<S: Serializer>(times: &VecDeque<Duration>, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(times.iter().map(|time| of(*time)))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<VecDeque<Duration>, D::Error> {
        let times = Vec::<u64>::deserialize(from)?;
        Ok(times.into_iter().map(Duration::from_micros).collect())
    }
}

/// Times with what they are of.
pub mod keyed {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::of;
    use crate::accounts::token::Digest;

    pub fn serialize<S: Serializer>(
        times: &[(Digest, Duration)],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(times.iter().map(|(key, time)| (key, of(*time))))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<(Digest, Duration)>, D::Error> {
        let times = Vec::<(Digest, u64)>::deserialize(from)?;
        let read = |(key, time)| (key, Duration::from_micros(time));
        Ok(times.into_iter().map(read).collect())
    }
}
