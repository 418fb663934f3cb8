//! The tar itself: plain POSIX, written piece by piece, and read from one end to the other without
//! believing a word of it.

use std::collections::HashSet;
use std::fmt;
use std::io::{self, Cursor, Read, Write};

use tar::{Archive, Builder, EntryType, Header, PaxExtensions};

use crate::operator::backup::names::{MOST_BYTES, MOST_FILES, Name, USERS};

/// A file for a backup.
pub(super) struct Piece {
    pub(super) name: Name,
    pub(super) content: Content,
    /// Seconds since 1970.
    pub(super) modified: u64,
}

/// What is in it.
pub(super) enum Content {
    /// As it was at the one moment.
    Bytes(Vec<u8>),
    /// So many bytes of what is read as it is wanted.
    Stream(Box<dyn Read>, u64),
}

impl Content {
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            Self::Stream(_, size) => *size,
        }
    }
}

/// Writes a tar with these pieces, and tells after each read how many bytes more are done.
///
/// # Errors
///
/// Whatever the disk says, and if a file has become shorter.
pub(super) fn write<W: Write>(
    out: W,
    pieces: Vec<Piece>,
    told: &mut dyn FnMut(u64),
) -> io::Result<W> {
    let mut tar = Builder::new(out);
    for piece in pieces {
        let size = piece.content.size();
        let mut header = Header::new_ustar();
        header.set_path(piece.name.in_tar())?;
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o600);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(piece.modified);
        header.set_size(size);
        header.set_cksum();
        let content: Box<dyn Read> = match piece.content {
            Content::Bytes(bytes) => Box::new(Cursor::new(bytes)),
            Content::Stream(stream, _) => stream,
        };
        let left = size;
        tar.append(
            &header,
            Exactly {
                content,
                left,
                told,
            },
        )?;
    }
    tar.into_inner()
}

/// So many bytes and no fewer: a header that has promised them is written already.
struct Exactly<'a> {
    content: Box<dyn Read>,
    left: u64,
    told: &'a mut dyn FnMut(u64),
}

impl Read for Exactly<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 || bytes.is_empty() {
            return Ok(0);
        }
        let read = (&mut self.content).take(self.left).read(bytes)?;
        if read == 0 {
            let shorter = "a file became shorter while it was read";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, shorter));
        }
        let read_bytes = u64::try_from(read).unwrap_or(u64::MAX);
        self.left = self.left.saturating_sub(read_bytes);
        (self.told)(read_bytes);
        Ok(read)
    }
}

/// A tar that was read to its end and is a backup.
pub(super) struct Inside {
    pub(super) files: Vec<Place>,
    /// What `users.json` holds.
    pub(super) users: Vec<u8>,
}

/// Where in a tar a file is.
pub(super) struct Place {
    pub(super) name: Name,
    pub(super) begin: u64,
    pub(super) size: u64,
    /// Seconds since 1970.
    #[cfg(feature = "postgres")]
    pub(super) modified: u64,
}

/// Why a tar is no backup.
#[derive(Debug)]
pub(super) enum Bad {
    /// It cannot be read, was cut off or damaged.
    Damaged(io::Error),
    /// Something is in it that no backup has: what it is called, and what is wrong with that.
    Foreign(String, &'static str),
    TooMany,
    NoUsers,
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(error) => write!(f, "it is cut off or damaged: {error}"),
            Self::Foreign(name, why) => write!(f, "{name:?} in it {why}"),
            Self::TooMany => write!(f, "more than {MOST_FILES} files are in it"),
            Self::NoUsers => write!(f, "there is no {USERS} in it"),
        }
    }
}

impl From<io::Error> for Bad {
    fn from(error: io::Error) -> Self {
        Self::Damaged(error)
    }
}

/// A block of a tar, in bytes.
const BLOCK: u64 = 512;

/// Most bytes of the times of a file that some programs write before it.
const MOST_TIMES: u64 = 4096;

/// Reads a tar to its end, and tells after each file how many bytes are read.
///
/// # Errors
///
/// If it is anything else than what [`write()`] has made, give or take `./`, folders and times, as
/// other programs add when they pack the same files again.
pub(super) fn read(source: impl Read, told: &mut dyn FnMut(u64)) -> Result<Inside, Bad> {
    let mut archive = Archive::new(Counted { source, read: 0 });
    let mut seen = HashSet::new();
    let (mut files, mut users) = (Vec::new(), None);
    let mut end = 0;
    // Raw: nothing in it changes the meaning of what comes next.
    for entry in archive.entries()?.raw(true) {
        let mut entry = entry?;
        let (begin, size) = (entry.raw_file_position(), entry.header().entry_size()?);
        let path = entry.header().path_bytes().into_owned();
        let foreign = |why| Bad::Foreign(String::from_utf8_lossy(&path).into_owned(), why);
        if size > MOST_BYTES {
            return Err(foreign("is over 1 GiB"));
        }
        end = begin + size.next_multiple_of(BLOCK);
        if seen.len() >= MOST_FILES {
            return Err(Bad::TooMany);
        }
        match entry.header().entry_type() {
            EntryType::Regular => {}
            EntryType::Directory if size == 0 && Name::is_folder(&path) => continue,
            EntryType::XHeader if size <= MOST_TIMES && has_times_alone(&mut entry)? => continue,
            EntryType::XHeader | EntryType::XGlobalHeader => {
                return Err(foreign("says of another file what no backup says"));
            }
            EntryType::Directory => return Err(foreign("is a folder that no backup has")),
            EntryType::Link | EntryType::Symlink => return Err(foreign("is a link")),
            _ => return Err(foreign("is no plain file")),
        }
        let name = Name::of(&path).ok_or_else(|| foreign("is not in any backup"))?;
        if !seen.insert(name.clone()) {
            return Err(foreign("is there twice"));
        }
        if name == Name::Top(USERS) {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            users = Some(bytes);
        }
        files.push(Place {
            name,
            begin,
            size,
            #[cfg(feature = "postgres")]
            modified: entry.header().mtime()?,
        });
        told(end);
    }
    read_end(archive.into_inner(), end)?;
    let users = users.ok_or(Bad::NoUsers)?;
    Ok(Inside { files, users })
}

/// Whether the records before a file say its times and nothing else.
fn has_times_alone(entry: &mut impl Read) -> io::Result<bool> {
    let mut records = Vec::new();
    entry.read_to_end(&mut records)?;
    for record in PaxExtensions::new(&records) {
        if !matches!(record?.key_bytes(), b"mtime" | b"atime" | b"ctime") {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Checks that a tar whose last file ends at `end` is whole: two blocks of zeros end it, and
/// nothing but zeros follow.
fn read_end(mut source: Counted<impl Read>, end: u64) -> Result<(), Bad> {
    let mut bytes = [0; 1 << 13];
    loop {
        let read = source.read(&mut bytes)?;
        if read == 0 {
            break;
        }
        if bytes.iter().take(read).any(|byte| *byte != 0) {
            let more = io::Error::other("something follows its end");
            return Err(Bad::Damaged(more));
        }
    }
    if source.read < end + 2 * BLOCK {
        return Err(Bad::Damaged(io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(())
}

/// Counts the bytes that are read.
struct Counted<R> {
    source: R,
    read: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(bytes)?;
        self.read += u64::try_from(read).unwrap_or(0);
        Ok(read)
    }
}
