//! What is made of a backup, where, and whose it is.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::{backup, full, kill, refused, restore};
use crate::harness::directory::snapshot;

#[test]
fn a_folder_that_is_not_empty_is_left_alone() {
    let setup = full();
    let dir = setup.dir();
    assert_eq!(backup(&setup, "b.tar").0, 0);
    for (name, is_in_the_way) in [
        ("users.json.lock", true),
        (".hidden", true),
        ("lost+found", false),
    ] {
        let folder = dir.join("new");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join(name), "").unwrap();
        // The tar itself may lie there.
        fs::copy(dir.join("b.tar"), folder.join("b.tar")).unwrap();
        let before = snapshot(&folder);

        let said = restore(&setup, "new/users.json", "new/b.tar");

        if is_in_the_way {
            refused(&said, "is in it");
            assert_eq!(snapshot(&folder), before);
        } else {
            assert_eq!(said.0, 0, "{said:?}");
        }
        fs::remove_dir_all(folder).unwrap();
    }
}

#[test]
fn a_made_up_tar_makes_nothing() {
    let setup = full();
    let dir = setup.dir();
    assert_eq!(backup(&setup, "good.tar").0, 0);
    let good = fs::read(dir.join("good.tar")).unwrap();
    let pack = |script: &str| {
        let script = format!("rm -rf m && mkdir m && cd m && cp ../users.json . && {script}");
        let packed = Command::new("sh")
            .args(["-c", &script])
            .current_dir(dir)
            .status();
        assert!(packed.unwrap().success(), "{script}");
    };
    let bad = |what: &str| {
        for _ in 0..2 {
            refused(&restore(&setup, "new/users.json", "bad.tar"), what);
            assert!(!dir.join("new").exists(), "{what}");
        }
    };
    for (script, what) in [
        (
            "tar -cPf ../bad.tar users.json /etc/hostname",
            "is not in any backup",
        ),
        (
            "tar -cPf ../bad.tar users.json ../logo.svg",
            "is not in any backup",
        ),
        (
            "ln -s /etc/passwd logo.svg && tar -cf ../bad.tar *",
            "is a link",
        ),
        (
            "ln users.json logo.svg && tar -cf ../bad.tar *",
            "is a link",
        ),
        (
            "mkfifo logo.svg && tar -cf ../bad.tar *",
            "is no plain file",
        ),
        (
            "tar -cf ../bad.tar users.json && tar -rf ../bad.tar users.json",
            "is there twice",
        ),
        (
            "mkdir etc && touch etc/users.json && tar -cf ../bad.tar *",
            "no backup has",
        ),
        (
            "truncate -s 2M logo.svg && tar -cSf ../bad.tar *",
            "is no plain file",
        ),
        (
            "touch logo.svg && tar -cf ../bad.tar logo.svg",
            "there is no users.json in it",
        ),
        (
            "echo '{' > users.json && tar -cf ../bad.tar users.json",
            "EOF while parsing",
        ),
        (
            "truncate -s 1073741825 logo.svg && tar -cf ../bad.tar * && rm logo.svg",
            "is over 1 GiB",
        ),
    ] {
        pack(script);
        bad(what);
    }
    fs::remove_file(dir.join("bad.tar")).unwrap();
    for end in [
        0,
        100,
        512,
        600,
        good.len() / 2,
        good.len() - 1024,
        good.len() - 1,
    ] {
        fs::write(dir.join("bad.tar"), &good[..end]).unwrap();
        bad("cut off or damaged");
    }
    let mut damaged = good.clone();
    damaged[1] ^= 1;
    fs::write(dir.join("bad.tar"), damaged).unwrap();
    bad("cut off or damaged");

    refused(
        &restore(&setup, "new/users.json", "gone.tar"),
        "cannot read",
    );
    refused(
        &restore(&setup, "gone/new/users.json", "good.tar"),
        "cannot restore into",
    );
    pack("tar -cf ../again.tar ./users.json");
    assert_eq!(restore(&setup, "new/users.json", "again.tar").0, 0);
}

#[test]
fn what_root_restores_is_of_the_folder_s_owner_and_a_folder_that_it_made_is_told_of() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root gives files away");
        return;
    }
    let setup = full();
    let dir = setup.dir();
    assert_eq!(backup(&setup, "b.tar").0, 0);

    let said = restore(&setup, "new/users.json", "b.tar");
    assert!(
        said.2.contains("hint: ") && said.2.contains("chown"),
        "{said:?}"
    );

    let theirs = dir.join("theirs");
    fs::create_dir(&theirs).unwrap();
    chown(&theirs, Some(65534), Some(65533)).unwrap();
    let said = restore(&setup, "theirs/users.json", "b.tar");
    assert!(said.0 == 0 && !said.2.contains("chown"), "{said:?}");
    let owners = |dir: &Path| -> BTreeSet<(u32, u32)> {
        let entries = fs::read_dir(dir).unwrap();
        let metadata = entries.map(|entry| entry.unwrap().metadata().unwrap());
        metadata.map(|found| (found.uid(), found.gid())).collect()
    };
    assert_eq!(owners(&theirs), BTreeSet::from([(65534, 65533)]));
    assert_eq!(
        owners(&theirs.join("outbox")),
        BTreeSet::from([(65534, 65533)])
    );
}

/// A restore that is killed leaves no accounts, or all of the backup.
#[test]
fn a_restore_that_is_killed_leaves_no_half_that_could_be_taken_for_the_whole() {
    let setup = full();
    let dir = setup.dir();
    fs::write(dir.join("events.jsonl"), "{}\n".repeat(1 << 20)).unwrap();
    assert_eq!(backup(&setup, "b.tar").0, 0);
    for after in [0, 1, 2, 4, 8, 12, 16, 24] {
        kill(
            &setup,
            &["--users", "new/users.json", "restore", "b.tar"],
            Duration::from_millis(after),
        );
        let new = dir.join("new");
        if new.join("users.json").exists() {
            for name in ["events.jsonl", "outbox/1.eml", "server.key", "users.json"] {
                assert_eq!(
                    fs::read(new.join(name)).unwrap(),
                    fs::read(dir.join(name)).unwrap()
                );
            }
        }
        let _ = fs::remove_dir_all(new);
    }
}
