//! A disk without room. Mounting one takes root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{PASSWORD, Server, Setup, Visitor};

/// A file system of its own, gone when dropped.
pub(super) struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: PathBuf, size: &str) -> Self {
        Self::mount_for(0, at, size)
    }

    /// One that belongs to this user.
    pub(super) fn mount_for(user: u32, at: PathBuf, size: &str) -> Self {
        fs::create_dir(&at).unwrap();
        let options = format!("size={size},mode=700,uid={user},gid={user}");
        let mount = ["-t", "tmpfs", "-o", &options, "tmpfs"];
        let status = Command::new("mount").args(mount).arg(&at).status().unwrap();
        assert!(
            status.success(),
            "cannot mount: this test has to be run by root"
        );
        Self(at)
    }

    /// Takes all room but so many bytes.
    #[cfg(feature = "databases")]
    pub(super) fn fill_but(&self, left: u64) {
        let found = rustix::fs::statvfs(&self.0).unwrap();
        let ballast = (found.f_bavail * found.f_frsize).saturating_sub(left);
        let ballast = vec![0; usize::try_from(ballast).unwrap()];
        fs::write(self.ballast(), ballast).unwrap();
    }

    pub(super) fn make_room(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// What came of a registration.
pub(super) fn register(server: &Server, name: &str) -> (u16, String) {
    let email = format!("{name}@example.com");
    let form = [
        ("username", name),
        ("email", &email),
        ("password", PASSWORD),
    ];
    let answer = Visitor::program(server).post("/register", &form);
    (
        answer.status,
        answer.json()["code"].as_str().unwrap().to_owned(),
    )
}

#[track_caller]
fn expect_login(server: &Server, name: &str, code: &str) {
    let login = [("username", name), ("password", PASSWORD)];
    Visitor::program(server).post("/login", &login).expect(code);
}

fn drafts(dir: &Path) -> usize {
    let names = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    names
        .filter(|name| name.to_str().unwrap().ends_with(".new"))
        .count()
}

#[test]
fn a_full_disk_refuses_accounts_until_there_is_room_and_loses_none() {
    let flags = [
        "--no-tls",
        "--registrations-per-hour",
        "0",
        "--users",
        "data/users.json",
    ];
    let setup = Setup::new().with(&flags);
    // Dropped before the directory it is in, and after the server.
    let disk = SmallDisk::mount(setup.dir().join("data"), "128k");
    fs::write(disk.ballast(), [0; 100 * 1024]).unwrap();
    let mut server = setup.start();

    let first_refused = (0..200).find(|n| match register(&server, &format!("user{n}")) {
        (201, _) => false,
        refused => {
            assert_eq!(refused, (503, "not_saved".to_owned()));
            true
        }
    });

    let count = first_refused.expect("the disk is never full");
    assert!(count > 3, "no more than {count} accounts");
    let refused = format!("user{count}");
    for restart in [false, true] {
        if restart {
            server.kill();
            server = setup.start();
        }
        expect_login(&server, &refused, "wrong_credentials");
        for n in [0, count - 1] {
            expect_login(&server, &format!("user{n}"), "enrol_required");
        }
        assert_eq!(drafts(disk.path()), 0);
        assert_eq!(register(&server, &refused), (503, "not_saved".to_owned()));
    }

    disk.make_room();

    assert_eq!(register(&server, &refused), (201, "registered".to_owned()));
    expect_login(&server, &refused, "enrol_required");
    server.kill();
    let server = setup.start();
    for n in 0..=count {
        expect_login(&server, &format!("user{n}"), "enrol_required");
    }
    println!("{count} accounts fitted");
    drop(server);
}
