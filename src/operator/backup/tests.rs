//! Tars that somebody made up, and those that other programs make of the same files.

use std::io::{Cursor, Read};

use tar::{Builder, EntryType, Header};

use super::archive::{self, Bad, Content, Piece};
use super::judge;
use super::names::{MOST_BYTES, Name};

const USERS: &[u8] = br#"{"version": 1, "users": {}}"#;

fn header(name: &[u8], kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_ustar();
    // To the letter: the library refuses to write what a stranger does.
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_entry_type(kind);
    header.set_mode(0o600);
    header.set_size(size);
    header.set_cksum();
    header
}

/// A tar with the accounts, and these before them.
fn tar(entries: &[(&[u8], EntryType, &[u8])]) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for (name, kind, bytes) in entries {
        let size = u64::try_from(bytes.len()).unwrap();
        tar.append(&header(name, *kind, size), *bytes).unwrap();
    }
    let size = u64::try_from(USERS.len()).unwrap();
    let users = header(b"users.json", EntryType::Regular, size);
    tar.append(&users, USERS).unwrap();
    tar.into_inner().unwrap()
}

fn bad(bytes: &[u8]) -> String {
    match archive::read(bytes, &mut |_| ()) {
        Ok(_) => String::new(),
        Err(bad) => bad.to_string(),
    }
}

#[test]
fn what_is_written_is_read_and_lies_where_it_is_said_to() {
    let piece = |name: &[u8], bytes: &[u8]| Piece {
        name: Name::of(name).unwrap(),
        content: Content::Bytes(bytes.to_vec()),
        modified: 1000,
    };
    let long = [b"outbox/".as_slice(), &[b'm'; 93], b".eml"].concat();
    let pieces = vec![
        piece(b"users.json", USERS),
        piece(b"sessions.json", &[b's'; 512]),
        piece(b"events.jsonl", b""),
        piece(&long, &[b'm'; 513]),
    ];
    let mut done = 0;

    let bytes = archive::write(Vec::new(), pieces, &mut |more| done += more).unwrap();
    let inside = archive::read(bytes.as_slice(), &mut |_| ()).unwrap();

    assert_eq!(done, 27 + 512 + 513);
    assert_eq!(inside.users, USERS);
    let files: Vec<(Name, &[u8])> = inside
        .files
        .iter()
        .map(|place| {
            let begin = usize::try_from(place.begin).unwrap();
            let size = usize::try_from(place.size).unwrap();
            (place.name.clone(), &bytes[begin..begin + size])
        })
        .collect();
    let name = |name: &[u8]| Name::of(name).unwrap();
    assert_eq!(
        files,
        [
            (name(b"users.json"), USERS),
            (name(b"sessions.json"), &[b's'; 512]),
            (name(b"events.jsonl"), b""),
            (name(&long), &[b'm'; 513]),
        ]
    );
}

#[test]
fn a_file_that_becomes_shorter_ends_the_backup() {
    let file = tempfile::tempfile().unwrap();
    let piece = Piece {
        name: Name::of(b"events.jsonl").unwrap(),
        content: Content::Stream(Box::new(file), 1),
        modified: 0,
    };
    assert!(archive::write(Vec::new(), vec![piece], &mut |_| ()).is_err());
}

#[test]
fn an_entry_that_no_backup_has_is_refused() {
    use EntryType as Kind;
    let sparse = b"22 GNU.sparse.major=1\n";
    let path = b"27 path=../../root/.bashrc\n";
    for (name, kind, bytes, why) in [
        (
            &b"/etc/passwd"[..],
            Kind::Regular,
            &b"x"[..],
            "is not in any backup",
        ),
        (
            b"../users.json",
            Kind::Regular,
            b"x",
            "is not in any backup",
        ),
        (
            b"outbox/../a.eml",
            Kind::Regular,
            b"x",
            "is not in any backup",
        ),
        (
            b"sub/users.json",
            Kind::Regular,
            b"x",
            "is not in any backup",
        ),
        (b"outbox/a.txt", Kind::Regular, b"x", "is not in any backup"),
        (
            b"outbox/a/b.eml",
            Kind::Regular,
            b"x",
            "is not in any backup",
        ),
        (b"passwd", Kind::Regular, b"x", "is not in any backup"),
        (b"", Kind::Regular, b"x", "is not in any backup"),
        (b"users.json", Kind::Regular, b"{}", "is there twice"),
        (b"./users.json", Kind::Regular, b"{}", "is there twice"),
        (b"sessions.json", Kind::Symlink, b"", "is a link"),
        (b"sessions.json", Kind::Link, b"", "is a link"),
        (b"sessions.json", Kind::Char, b"", "is no plain file"),
        (b"sessions.json", Kind::Block, b"", "is no plain file"),
        (b"sessions.json", Kind::Fifo, b"", "is no plain file"),
        (b"sessions.json", Kind::GNUSparse, b"x", "is no plain file"),
        (b"sessions.json", Kind::Continuous, b"x", "is no plain file"),
        (
            b"a",
            Kind::GNULongName,
            b"/etc/passwd\0",
            "is no plain file",
        ),
        (
            b"a",
            Kind::GNULongLink,
            b"/etc/passwd\0",
            "is no plain file",
        ),
        (b"a", Kind::XHeader, path, "says of another file"),
        (b"a", Kind::XHeader, sparse, "says of another file"),
        (b"a", Kind::XHeader, b"99 mtime=1\n", "cut off or damaged"),
        (
            b"a",
            Kind::XGlobalHeader,
            b"11 mtime=1\n",
            "says of another file",
        ),
        (
            b"sub/",
            Kind::Directory,
            b"",
            "is a folder that no backup has",
        ),
        (
            b"outbox/",
            Kind::Directory,
            b"x",
            "is a folder that no backup has",
        ),
        (
            b"/outbox/",
            Kind::Directory,
            b"",
            "is a folder that no backup has",
        ),
        (b"outbox/", Kind::Regular, b"", "is not in any backup"),
    ] {
        let said = bad(&tar(&[(name, kind, bytes)]));
        let name = String::from_utf8_lossy(name).into_owned();
        assert!(said.contains(why), "{name} {kind:?}: {said:?}");
    }
}

#[test]
fn what_other_programs_add_when_they_pack_the_same_files_is_taken() {
    use EntryType as Kind;
    let again = tar(&[
        (b"./", Kind::Directory, b""),
        (b"./outbox/", Kind::Directory, b""),
        (
            b"././@PaxHeader",
            Kind::XHeader,
            b"28 mtime=1700000000.1234567\n",
        ),
        (b"./outbox/a.eml", Kind::Regular, b"mail"),
        (b"./sessions.json", Kind::Regular, b""),
    ]);
    assert_eq!(bad(&again), "");
    let padded = [again, vec![0; 9 * 1024]].concat();
    assert_eq!(bad(&padded), "");
}

#[test]
fn sizes_are_bounded_and_not_believed() {
    for size in [MOST_BYTES + 1, u64::MAX / 2, 8 << 30] {
        let mut tar = header(b"sessions.json", EntryType::Regular, size)
            .as_bytes()
            .to_vec();
        tar.extend_from_slice(&[0; 4096]);
        assert!(bad(&tar).contains("is over 1 GiB"), "{size}");
    }
    let mut tar = header(b"users.json", EntryType::Regular, MOST_BYTES)
        .as_bytes()
        .to_vec();
    tar.extend_from_slice(&[0; 4096]);
    assert!(bad(&tar).contains("cut off or damaged"));

    let endless = header(b"users.json", EntryType::Regular, u64::MAX);
    assert_ne!(bad(endless.as_bytes()), "");
    let mut odd = header(b"users.json", EntryType::Regular, 27);
    odd.as_old_mut().size = *b"-00000000001";
    odd.set_cksum();
    assert!(bad(odd.as_bytes()).contains("cut off or damaged"));
}

#[test]
fn a_tar_that_is_cut_anywhere_is_refused() {
    let whole = tar(&[(b"sessions.json", EntryType::Regular, &[b's'; 600])]);
    assert_eq!(bad(&whole), "");
    for end in 0..whole.len() {
        assert_ne!(bad(&whole[..end]), "", "cut at {end}");
    }
}

#[test]
fn a_header_with_any_bit_changed_is_refused() {
    let whole = tar(&[]);
    // The sum itself apart, which may be written in more ways than one.
    for at in (0..148).chain(156..512) {
        for bit in 0..8 {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << bit;
            assert_ne!(bad(&damaged), "", "byte {at}, bit {bit}");
        }
    }
}

#[test]
fn nothing_follows_the_end_and_the_accounts_are_there() {
    let mut tar = tar(&[]);
    tar.extend_from_slice(b"more");
    assert!(bad(&tar).contains("something follows its end"));
    assert!(bad(&[0; 1024]).contains("there is no users.json in it"));
    assert!(bad(b"").contains("cut off or damaged"));
    assert!(bad(b"no tar at all").contains("cut off or damaged"));
}

#[test]
fn accounts_on_which_no_server_could_start_are_refused() {
    assert!(judge(&tar(&[])).is_ok());
    let mut later = Builder::new(Vec::new());
    let users = br#"{"version": 3, "users": {}}"#;
    let size = u64::try_from(users.len()).unwrap();
    later
        .append(&header(b"users.json", EntryType::Regular, size), &users[..])
        .unwrap();
    let said = judge(&later.into_inner().unwrap()).unwrap_err();
    assert!(said.contains("version 3 is of a later auth_user"), "{said}");
}

/// More files than any outbox has, each an entry without a byte.
#[test]
fn the_number_of_files_is_bounded() {
    struct Endless(u64, Cursor<Vec<u8>>);
    impl Read for Endless {
        fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
            if self.1.position() == 512 {
                self.0 += 1;
                let name = format!("outbox/{}.eml", self.0);
                let header = header(name.as_bytes(), EntryType::Regular, 0);
                self.1 = Cursor::new(header.as_bytes().to_vec());
            }
            self.1.read(bytes)
        }
    }
    let mut first = Cursor::new(vec![0; 512]);
    first.set_position(512);
    let read = archive::read(Endless(0, first), &mut |_| ());
    assert!(matches!(read, Err(Bad::TooMany)));
}
