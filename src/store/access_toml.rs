//! `access.toml`: read, watched, and never written.

use std::io::{self, Write};
use std::panic::{self, AssertUnwindSafe};
use std::thread;

use crate::access::Access;
use crate::store::document::Content;
use crate::store::error::Damage;
use crate::store::json;

impl Content for Access {
    type Format = ();

    type Edited = ();

    const NAME: &'static str = "access rules";

    const REPLACED_WHEN_DAMAGED: bool = false;

    /// The operator's, who may let others maintain it.
    const PRIVATE: bool = false;

    const UNTIL_MENDED: &'static str = "go on holding until the file is mended";

    fn parse(bytes: &[u8]) -> Result<(Self, ()), Damage> {
        let text = json::text(bytes)?;
        let rules = Self::parse(text).map_err(|bad| Damage {
            reason: bad.reason,
            place: bad.at.map(|at| json::place(&bytes[..at.min(bytes.len())])),
        })?;
        Ok((rules, ()))
    }

    fn write(&self, (): &mut (), _: &mut dyn Write) -> io::Result<()> {
        Err(io::Error::other("access rules are the operator's to write"))
    }

    fn revision(&self) -> u64 {
        0
    }

    fn attempt<R>(&mut self, change: impl FnOnce(&mut Self) -> R) -> thread::Result<R> {
        panic::catch_unwind(AssertUnwindSafe(|| change(self)))
    }
}
