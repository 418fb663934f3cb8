//! The same for accounts in a database: the tar that their files would make, and a database filled
//! from one, which nodes refuse until all of it is there.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Seek as _, SeekFrom};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::clock::Clock;
use crate::durable::directory_of;
use crate::events;
use crate::operator::backup::archive::{Content, Inside, Place};
use crate::operator::backup::gathered::{Gathered, too_many_mails};
use crate::operator::backup::names::{
    self, EARLIER, EVENTS, MOST_BYTES, MOST_MAILS, Name, OUTBOX, SESSIONS, USERS,
};
use crate::operator::backup::own::Own;
use crate::operator::backup::restored::{Restored, copy, name_of, open, read};
use crate::operator::backup::{NotDone, Told};
use crate::operator::copy::{Access, All, MOST_OF_MAIL, To, kept_mail};
use crate::store::Whole;
use crate::store::postgres::{KeptMail, Patience};

/// The ending of a mail that waits.
const MAIL: &str = ".eml";

/// Gathers all that is in the database at one moment, as files, and gives how many accounts these
/// are.
///
/// # Errors
///
/// If a server could not start on that.
pub(super) fn gather(gathered: &mut Gathered, access: &Access) -> Result<usize, NotDone> {
    let clock = Clock::start();
    let mut side = access.from(&clock, Patience::Short)?;
    side.begin_reading()?;
    let now = clock.now().wall;
    let All { whole, mails } = All::of(&mut side)?;
    let mut push = |name, content, modified| {
        let name = Name::Top(name);
        gathered.push(name.clone(), content, modified, Path::new(&name.in_tar()))
    };
    let unwritten = |error: io::Error| NotDone::no_file(error, "see to the database");
    let mut users = Vec::new();
    whole.write_users(&mut users).map_err(unwritten)?;
    push(USERS, Content::Bytes(users), now)?;
    if let Some(sessions) = whole.sessions_json().map_err(unwritten)? {
        push(SESSIONS, Content::Bytes(sessions), now)?;
    }
    let size = side.size_of_events()?;
    if size > 0 {
        let lines = Box::new(side.into_event_lines()?);
        push(EVENTS, Content::Stream(lines, size), now)?;
    }
    push_mails(gathered, mails)?;
    gathered.judge(Path::new(USERS))
}

fn push_mails(gathered: &mut Gathered, mails: Vec<KeptMail>) -> Result<(), NotDone> {
    if mails.len() > MOST_MAILS {
        return Err(too_many_mails(Path::new(OUTBOX)));
    }
    for mail in mails {
        let name = OsString::from(mail.name + MAIL);
        let path = Path::new(OUTBOX).join(&name);
        if names::is_mail(&name) {
            gathered.push(Name::Mail(name), Content::Bytes(mail.text), mail.at, &path)?;
        } else {
            gathered.leave_out(&path);
        }
    }
    Ok(())
}

/// Fills an empty database with the accounts in the tar and what belongs to them, and puts what is
/// a node's own into the folder of `users`.
///
/// # Errors
///
/// [`NotDone`]. Nothing is changed if the tar, the database or the folder was not fit; from then on
/// nodes refuse the database until this has been done again.
pub fn restore_database(
    users: &Path,
    tar: &Path,
    access: &Access,
    told: Told<'_>,
) -> Result<Restored, NotDone> {
    name_of(users)?;
    let (file, length) = open(tar)?;
    let side = access.to(&Clock::start(), Patience::Short)?;
    // Read once to judge it, and once to copy it.
    let mut told = |done: u64| told(done.min(2 * length), 2 * length);
    let inside = read(tar, &file, &mut told)?;
    let mut unpacked = Unpacked::of(users, tar, &file, &inside)?;
    let own = Own::look(directory_of(users), &file, &inside)?;

    let own = own.write()?;
    let mut to = To::Database(side);
    to.begin()?;
    let mut done = length;
    let mut more = |more| {
        done += more;
        told(done);
    };
    to.fill(
        &unpacked.all,
        &mut |see| unpacked.events.show(see),
        &mut more,
    )?;
    let (made, roots) = own.put()?;
    to.finish()?;

    let [accounts, ..] = unpacked.all.whole.counts();
    Ok(Restored {
        accounts,
        files: inside.files.len() - unpacked.left_out.len(),
        made,
        left_out: unpacked.left_out,
        roots,
    })
}

/// What of a tar goes to a database.
struct Unpacked<'a> {
    all: All,
    events: OfEvents<'a>,
    left_out: Vec<(String, &'static str)>,
}

impl<'a> Unpacked<'a> {
    fn of(
        users: &Path,
        tar: &'a Path,
        file: &'a File,
        inside: &'a Inside,
    ) -> Result<Self, NotDone> {
        let bytes = |place: &Place| -> Result<Vec<u8>, NotDone> {
            let mut bytes = Vec::new();
            copy(file, place, &mut bytes).map_err(|error| unread(tar, &error))?;
            Ok(bytes)
        };
        let top = |name: &'static str| {
            let mut files = inside.files.iter();
            files.find(|place| place.name == Name::Top(name))
        };
        let mut whole = Whole::of(users, &inside.users)?;
        if let Some(sessions) = top(SESSIONS) {
            let path = users.with_file_name(SESSIONS);
            whole
                .take_sessions(&path, &bytes(sessions)?)
                .map_err(|error| {
                    let hint = "take it out with tar --delete: then everybody has to log in again";
                    NotDone::no_file(format_args!("cannot restore {tar:?}: {error}"), hint)
                })?;
        }
        let mut left_out = Vec::new();
        if top(EARLIER).is_some() {
            let why = "it goes with a users.json, and a database has none";
            left_out.push((EARLIER.to_owned(), why));
        }
        let mut mails = Vec::new();
        let mut of_mails = 0;
        for place in &inside.files {
            let Name::Mail(name) = &place.name else {
                continue;
            };
            if place.size > MOST_OF_MAIL {
                let shown = place.name.in_tar().display().to_string();
                left_out.push((shown, "it is too large for a mail that can be sent"));
                continue;
            }
            of_mails += place.size;
            if of_mails > MOST_BYTES {
                let what = format!("cannot restore {tar:?}: its mails are over 1 GiB");
                return Err(NotDone::no_file(what, "take some out, with tar --delete"));
            }
            let stem = name.as_bytes();
            let stem = stem.strip_suffix(MAIL.as_bytes()).unwrap_or(stem);
            mails.extend(kept_mail(stem, place.modified, bytes(place)?));
        }
        mails.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(Self {
            all: All { whole, mails },
            events: OfEvents {
                tar,
                file,
                place: top(EVENTS),
            },
            left_out,
        })
    }
}

/// The events in a tar.
struct OfEvents<'a> {
    tar: &'a Path,
    file: &'a File,
    place: Option<&'a Place>,
}

impl OfEvents<'_> {
    fn show(&mut self, see: &mut dyn FnMut(&str)) -> Result<(), NotDone> {
        let Some(place) = self.place else {
            return Ok(());
        };
        let mut file = self.file;
        let shown = file.seek(SeekFrom::Start(place.begin));
        let shown = shown.and_then(|_| events::each_line(file, place.size, see));
        shown.map_err(|error| unread(self.tar, &error))
    }
}

fn unread(tar: &Path, error: &io::Error) -> NotDone {
    let what = format!("cannot read {tar:?}: {error}");
    NotDone::no_file(what, "see to the disk, and leave the tar alone meanwhile")
}
