//! The files of `packaging/` among each other and against the program.

use std::fs;
use std::process::Command;

fn packaging(name: &str) -> String {
    fs::read_to_string(format!("packaging/{name}")).unwrap()
}

/// systemd's own judgement of the unit.
#[test]
fn the_unit_leaves_the_program_little() {
    let output = Command::new("systemd-analyze")
        .args(["security", "--offline=yes", "--threshold=20", "--no-pager"])
        .arg("packaging/auth_user.service")
        .output()
        .expect("systemd-analyze; tests/setup installs it");

    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("Overall exposure level"), "{text}");
}

/// A variable that the program does not know would be taken for a setting, and be none.
#[test]
fn settings_that_are_suggested_are_known_to_the_program() {
    let manual = Command::new(env!("CARGO_BIN_EXE_auth_user"))
        .arg("man")
        .output()
        .unwrap();
    let manual = String::from_utf8(manual.stdout).unwrap().replace('\\', "");
    let mut suggested = 0;
    for name in ["debian/default", "compose.yml"] {
        for variable in packaging(name).split(|c: char| !c.is_ascii_uppercase() && c != '_') {
            if variable
                .strip_prefix("AUTH_")
                .is_some_and(|rest| !rest.is_empty())
            {
                suggested += 1;
                assert!(manual.contains(variable), "{variable} in {name}");
            }
        }
    }
    assert!(suggested > 10, "{suggested}");
}

/// Whoever runs the image by compose gets the rights that the image was tried with, and no more.
#[test]
fn compose_takes_every_right_away() {
    let compose = packaging("compose.yml");
    let services = compose.split("\nservices:\n").nth(1).unwrap();
    let services = services.split("\nconfigs:\n").next().unwrap();
    let (login, caddy) = services.split_once("\n  caddy:\n").unwrap();

    assert!(login.starts_with("  auth_user:\n"));
    for service in [login, caddy] {
        assert!(service.contains("\n    read_only: true\n"), "{service}");
        assert!(service.contains("\n    cap_drop: [ALL]\n"), "{service}");
    }
    assert!(!login.contains("cap_add") && !login.contains("tmpfs") && !login.contains("ports:"));
    let volume = packaging("Containerfile");
    let volume = volume
        .lines()
        .find_map(|line| line.strip_prefix("VOLUME "))
        .unwrap();
    assert!(login.contains(&format!(":{volume}\n")), "{volume}");
    let volumes = login.split_once("\n    volumes:").unwrap().1;
    assert_eq!(volumes.matches("\n      - ").count(), 1);
}
