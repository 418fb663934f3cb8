//! `access.toml`: read, watched, and never written.

use std::io::{self, Write};
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;

use crate::access::{Access, Reach};
use crate::clock::Clock;
use crate::store::document::{Content, Document, News, Published};
use crate::store::error::{Damage, OpenError};
use crate::store::json;
use crate::store::worker::LOOK;

/// The rules about access, in the operator's file beside the accounts, and the thread that checks
/// whether that file has changed.
pub struct Rules {
    published: Published<Access>,
    /// Ends the thread when it is dropped.
    _end: Sender<()>,
}

/// What to do about rules that cannot be used.
const HINT: &str = "mend the rules; without the file everybody who is logged in may enter";

impl Rules {
    /// Reads the rules in this folder; without a file, everybody who is logged in may enter. Those
    /// that never count, with this `reach`, are named in the log.
    ///
    /// # Errors
    ///
    /// If the file cannot be used just as it is, or the system has no thread left.
    pub fn open(directory: &Path, clock: &Arc<Clock>, reach: Reach) -> Result<Self, OpenError> {
        let path = directory.join("access.toml");
        let mut document = Document::<Access>::open(&path, clock)
            .map_err(|damage| OpenError::new(&path, damage, HINT))?;
        let published = document.published();
        warn(&published.get(), &reach, &path);
        let (end, ended) = mpsc::channel();
        let (read, file) = (document.published(), path.clone());
        thread::Builder::new()
            .name("access".to_owned())
            .spawn(move || {
                while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                    // Even closing a file can panic, in std; the thread must survive that.
                    let _ = panic::catch_unwind(AssertUnwindSafe(|| document.look()));
                    while let Some(news) = document.next_news() {
                        if matches!(news, News::TakenUp) {
                            warn(&read.get(), &reach, &file);
                        }
                    }
                }
            })
            .map_err(|error| OpenError::no_thread(&path, &error))?;
        Ok(Self {
            published,
            _end: end,
        })
    }

    /// Judges the rules in this folder as a start does; whether there are any.
    ///
    /// # Errors
    ///
    /// If the file cannot be used just as it is.
    pub fn look(directory: &Path, clock: &Arc<Clock>, reach: &Reach) -> Result<bool, OpenError> {
        let path = directory.join("access.toml");
        let looked = Document::<Access>::look_at(&path, clock);
        let looked = looked.map_err(|damage| OpenError::new(&path, damage, HINT))?;
        if let Some(access) = &looked {
            warn(access, reach, &path);
        }
        Ok(looked.is_some())
    }

    /// The rules as they were last good.
    pub fn get(&self) -> Arc<Access> {
        self.published.get()
    }
}

/// Names the rules that never count.
fn warn(access: &Access, reach: &Reach, path: &Path) {
    if let Some(said) = access.in_vain(reach) {
        tracing::warn!("{path:?}, rules that never count: {said}");
    }
}

impl Content for Access {
    type Format = ();

    type Edited = ();

    const NAME: &'static str = "access rules";

    const REPLACED_WHEN_DAMAGED: bool = false;

    /// The operator owns the file, and may let others maintain it.
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
}
