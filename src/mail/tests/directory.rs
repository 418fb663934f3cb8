use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::mail::tests::sink::{Manners, Sink};
use crate::mail::tests::{again, finish, mail_to, names, quiet, sender, sending};
use crate::mail::{MAX_WAITING, Outbox};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// The umask belongs to the whole process, so each umask gets a process of its own.
#[test]
fn mail_is_for_the_owner_alone_whatever_the_umask() {
    const CHILD: &str = "TEST_UMASK_CHILD";
    if std::env::var_os(CHILD).is_none() {
        let test = "mail::tests::directory::mail_is_for_the_owner_alone_whatever_the_umask";
        for umask in ["000", "022", "777"] {
            let output = again(test, umask, &[(CHILD, OsStr::new("1"))]);
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "umask {umask}: {said}");
            assert!(said.contains("1 passed"), "{said}");
        }
        return;
    }
    let dir = std::env::temp_dir().join(format!("auth_user_outbox_{}", std::process::id()));

    let posted = quiet(&dir).post(&mail_to("alice@example.org")).unwrap();
    let file = posted.unwrap();

    let modes = (mode(&dir), mode(&file));
    fs::remove_dir_all(&dir).unwrap();
    assert_eq!(modes, (0o700, 0o600));
}

#[test]
fn a_directory_removed_while_running_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = dir.path().join("outbox");
    let sink = Sink::start(Manners::default());
    let sending = sending(&outbox, sink.address);
    sending.post(&mail_to("first@example.org")).unwrap();
    sink.next();
    // The sender may still be removing the file.
    while fs::remove_dir_all(&outbox).is_err() {}

    sending.post(&mail_to("second@example.org")).unwrap();

    assert_eq!(sink.next().to, ["RCPT TO:<second@example.org>"]);
    finish(&sending);
    assert_eq!(mode(&outbox), 0o700);
}

#[test]
fn a_full_outbox_refuses_and_takes_again_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = quiet(dir.path());
    for number in 0..MAX_WAITING {
        fs::write(dir.path().join(format!("{number}.eml")), "").unwrap();
    }

    let refused = outbox.post(&mail_to("alice@example.org"));
    fs::remove_file(dir.path().join("0.eml")).unwrap();
    let taken = outbox.post(&mail_to("alice@example.org"));

    assert_eq!(refused.err().unwrap().kind(), ErrorKind::QuotaExceeded);
    assert!(taken.is_ok());
    assert_eq!(names(dir.path()).len(), MAX_WAITING);
}

#[test]
fn mail_set_aside_does_not_pile_up_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    for number in 0..=MAX_WAITING {
        fs::write(dir.path().join(format!("{number:05}.eml.failed")), "").unwrap();
    }
    quiet(dir.path())
        .post(&mail_to("alice@example.org"))
        .unwrap();
    let sink = Sink::start(Manners::default());

    let outbox = sending(dir.path(), sink.address);

    sink.next();
    finish(&outbox);
    let names = names(dir.path());
    assert_eq!(names.len(), MAX_WAITING);
    assert_eq!(names[0], "00001.eml.failed");
}

#[test]
fn what_a_killed_process_left_half_written_goes_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let old = File::create(dir.path().join(".old.draft")).unwrap();
    old.set_modified(SystemTime::now() - Duration::from_secs(3600))
        .unwrap();
    File::create(dir.path().join(".young.draft")).unwrap();

    quiet(dir.path());

    assert_eq!(names(dir.path()), [".young.draft"]);
}

#[test]
fn a_file_in_the_place_of_the_outbox_is_a_start_up_problem() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("outbox");
    fs::write(&path, "mine").unwrap();

    let problem = Outbox::open(path.clone(), sender(), None).err().unwrap();

    assert!(problem.to_string().starts_with("cannot open the outbox \""));
    assert_eq!(fs::read_to_string(path).unwrap(), "mine");
}

/// Root makes the outbox in a folder of somebody who keeps putting a link in its place.
#[test]
fn whoever_races_to_put_a_link_in_its_place_is_given_nothing() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let [data, victim] = ["data", "victim"].map(|name| dir.path().join(name));
    fs::create_dir(&data).unwrap();
    fs::create_dir(&victim).unwrap();
    chown(&data, Some(65534), Some(65534)).unwrap();
    fs::set_permissions(&victim, fs::Permissions::from_mode(0o755)).unwrap();
    let (outbox, link) = (data.join("outbox"), data.join("link"));
    let (over, swaps) = (AtomicBool::new(false), AtomicUsize::new(0));

    std::thread::scope(|scope| {
        scope.spawn(|| {
            let exchange = RenameFlags::EXCHANGE;
            while !over.load(Ordering::Relaxed) {
                let swapped = renameat_with(CWD, &link, CWD, &outbox, exchange);
                swaps.fetch_add(usize::from(swapped.is_ok()), Ordering::Relaxed);
            }
        });
        for _ in 0..400 {
            let _ = symlink(&victim, &link);
            let _ = crate::mail::directory::open_or_make(&outbox);
            // One of them is the link and the other the folder, and which one changes.
            for _ in 0..2 {
                for path in [&outbox, &link] {
                    let _ = fs::remove_dir(path).or_else(|_| fs::remove_file(path));
                }
            }
        }
        over.store(true, Ordering::Relaxed);
    });

    let found = fs::metadata(&victim).unwrap();
    assert!(swaps.load(Ordering::Relaxed) > 20, "there was no race");
    assert_eq!((found.uid(), found.mode() & 0o777), (0, 0o755));
}
