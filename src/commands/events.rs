//! `auth_user events`: what happened to accounts, printed.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::clock;
use crate::commands::Failure;
use crate::commands::opened::Opened;
use crate::config::{EventsAsked, OfServer, Since};
use crate::events::Seen;
use crate::operator::Refused;
use crate::operator::events::Wanted;
use crate::terminal;

/// How often the file is looked at for new lines.
const LOOK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 200_000_000,
};

/// Prints what is asked for. With `--follow`, until a signal or the end of whoever reads it.
pub(super) fn show(asked: &EventsAsked, server: &OfServer) -> Result<(), Failure> {
    let refused = |why: Refused| Failure::of(&why, "show the events", asked.json);
    let since = asked.since.map(|since| match since {
        Since::Ago(ago) => clock::since_epoch().saturating_sub(ago),
        Since::At(moment) => moment,
    });
    let opened = Opened::of(server)?;
    let wanted = Wanted::new(opened.source(), asked.user.as_deref(), since).map_err(refused)?;
    let mut reader = opened.source().events().map_err(refused)?;
    if asked.follow {
        end_well_by_signal().map_err(|error| refused(Refused::NoEvents(error)))?;
    }
    let mut out = io::stdout().lock();
    loop {
        let mut is_read = true;
        let read = reader.read(|line| {
            let text = Seen::parse(line).filter(|seen| wanted.has(seen));
            let text = text.map(|seen| shown(&seen, line, asked.json));
            let written = text.map_or(Ok(()), |text| writeln!(out, "{text}"));
            is_read &= written.is_ok();
            written
        });
        is_read &= out.flush().is_ok();
        match read {
            // Nobody reads it any more, which is no failure.
            _ if !is_read => return Ok(()),
            Err(error) => return Err(refused(Refused::NoEvents(error))),
            Ok(()) if !asked.follow => return Ok(()),
            Ok(()) => {}
        }
        if !still_read_after_a_while(&out) {
            return Ok(());
        }
    }
}

/// A line as it is printed, with nothing in it that a terminal would obey.
fn shown(seen: &Seen, line: &[u8], as_json: bool) -> String {
    if as_json {
        return terminal::printable_json(&String::from_utf8_lossy(line));
    }
    row(seen)
}

/// An event as text: its fields with tabs between.
pub(super) fn row(seen: &Seen) -> String {
    let fields = [
        Some(seen.time.as_str()),
        Some(seen.event.as_str()),
        seen.user.as_deref(),
        seen.by.as_deref(),
        seen.address.as_deref(),
        seen.agent.as_deref(),
        Some(seen.result.as_str()),
    ];
    let field = |field: Option<&str>| match field {
        Some(text) if !text.is_empty() => terminal::printable(text),
        _ => "-".to_owned(),
    };
    fields.map(field).join("\t")
}

/// Has the usual signals end the program with status 0, whatever it waits for.
fn end_well_by_signal() -> io::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, 0, Arc::new(AtomicBool::new(true)))?;
    }
    Ok(())
}

/// Waits for a while; false at once if nobody reads standard output any more.
fn still_read_after_a_while(out: &io::StdoutLock<'_>) -> bool {
    // Only what is always told is asked for: that the other end was closed.
    let mut ends = [PollFd::new(out, PollFlags::empty())];
    let told = poll(&mut ends, Some(&LOOK));
    !matches!(told, Ok(ends) if ends > 0)
}
