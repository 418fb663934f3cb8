//! What the program says of itself to shells and to `man`.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::Setup;
use crate::operator::flags::FLAGS;
use crate::operator::{assert_wrong_call, run};

/// What the program prints, called so that nothing else may come of it.
fn printed(arguments: &[&str]) -> String {
    // No configuration is read, so a wrong one stops nobody.
    let setup = Setup::bare()
        .env("AUTH_LISTEN", "nowhere")
        .env("AUTH_SESSION_IDLE", "soon")
        .env("AUTH_USERS", "/nowhere/users.json");

    let (status, out, err) = run(&setup, arguments, b"");

    assert_eq!((status, err.as_str()), (0, ""), "{arguments:?}");
    assert_eq!(fs::read_dir(setup.dir()).unwrap().count(), 0);
    out
}

/// Types lines at a bash that has the completions, where Tab is pressed as in a terminal. Gives what
/// the program would be called with.
fn typed(lines: &[&str], is_with_package: bool) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join("completions"),
        printed(&["completions", "bash"]),
    )
    .unwrap();
    fs::write(dir.path().join("accounts.json"), "").unwrap();
    let mut bash = Command::new("bash")
        .args(["--norc", "--noprofile", "-i"])
        .current_dir(&dir)
        .env("INPUTRC", "/dev/null")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = "auth_user() { printf '=> %s\\n' \"$*\"; }\n".to_owned();
    if is_with_package {
        assert!(Path::new(PACKAGE).is_file(), "bash-completion is missing");
        input += &format!("source {PACKAGE}\n");
    }
    input += "source completions\n";
    for line in lines {
        input += &format!("{line}\t\n");
    }
    bash.stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = bash.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let called = text.lines().filter_map(|line| line.strip_prefix("=> "));
    called.map(|call| call.trim_end().to_owned()).collect()
}

/// What the package bash-completion has a shell read.
const PACKAGE: &str = "/usr/share/bash-completion/bash_completion";

/// What is typed before Tab, and what it becomes.
const TYPED: &[(&str, &str)] = &[
    ("auth_user --cookie-d", "--cookie-domain"),
    ("auth_user back", "backup"),
    ("auth_user user reset", "user reset-2fa"),
    ("auth_user user list --us", "user list --users"),
    ("auth_user check --sess", "check --session-"),
    // Choices, as a word of their own and behind `=`.
    ("auth_user --log j", "--log json"),
    ("auth_user --log=j", "--log=json"),
    ("auth_user proxy-config ha", "proxy-config haproxy"),
    ("auth_user import auth", "import authelia"),
    ("auth_user completions f", "completions fish"),
    // Paths.
    ("auth_user --users acc", "--users accounts.json"),
    ("auth_user --users=acc", "--users=accounts.json"),
    ("auth_user import csv acc", "import csv accounts.json"),
    ("auth_user restore acc", "restore accounts.json"),
    // What is no path.
    ("auth_user --issuer acc", "--issuer acc"),
];

fn assert_completes(is_with_package: bool) {
    let lines: Vec<&str> = TYPED.iter().map(|(line, _)| *line).collect();
    let expected: Vec<&str> = TYPED.iter().map(|(_, call)| *call).collect();
    assert_eq!(typed(&lines, is_with_package), expected);
}

#[test]
fn bash_completes_flags_commands_choices_and_paths() {
    assert_completes(false);
}

#[cfg(feature = "makers")]
#[test]
fn bash_completes_the_same_beside_its_package() {
    assert_completes(true);
}

#[cfg(feature = "makers")]
#[test]
fn zsh_and_fish_understand_their_completions() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["zsh", "fish"] {
        let script = dir.path().join(shell);
        fs::write(&script, printed(&["completions", shell])).unwrap();
        let judged = Command::new(shell).arg("-n").arg(&script).output().unwrap();
        let said = String::from_utf8_lossy(&judged.stderr).into_owned();
        assert!(
            judged.status.success() && said.is_empty(),
            "{shell}: {said}"
        );
    }
    let fish = dir.path().join("fish");
    for (typed, offered) in [
        ("--log ", &["json", "text"][..]),
        ("--log j", &["json"]),
        ("--registration c", &["closed"]),
        ("back", &["backup"]),
        ("user list --us", &["--users"]),
    ] {
        let asked = format!("source {}; complete -C 'auth_user {typed}'", fish.display());
        let output = Command::new("fish")
            .args(["-N", "-c", &asked])
            .output()
            .unwrap();
        let output = String::from_utf8(output.stdout).unwrap();
        let words = output.lines().filter_map(|line| line.split('\t').next());
        assert_eq!(words.collect::<Vec<_>>(), offered, "{typed}");
    }
}

#[test]
fn every_shell_gets_every_flag_and_command() {
    for shell in ["bash", "zsh", "FISH"] {
        let script = printed(&["completions", shell]);
        for (flag, ..) in FLAGS {
            let flag = flag.trim_start_matches("--");
            assert!(script.contains(flag), "{shell}: {flag}");
        }
        for command in commands() {
            assert!(script.contains(&command), "{shell}: {command}");
        }
    }
}

/// The commands as `--help` lists them.
fn commands() -> Vec<String> {
    let help = printed(&["--help"]);
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed = listed.take_while(|line| !line.is_empty());
    let commands: Vec<String> = listed
        .map(|line| line.split_whitespace().next().unwrap().to_owned())
        .collect();
    assert!(commands.iter().any(|command| command == "doctor"), "{help}");
    commands
}

#[test]
fn another_shell_is_a_wrong_call() {
    let setup = Setup::bare();
    for (arguments, what) in [
        (&["completions", "tcsh"][..], "not one of bash, zsh, fish"),
        (&["completions"], "<SHELL>"),
        (&["man", "auth_user"], "auth_user"),
    ] {
        assert_wrong_call(&run(&setup, arguments, b""), what);
    }
    assert_eq!(fs::read_dir(setup.dir()).unwrap().count(), 0);
}

#[test]
fn the_manual_names_every_flag_variable_default_and_command() {
    let page = printed(&["man"]);
    let roff = page
        .replace("\\-", "-")
        .replace("\\fB", "")
        .replace("\\fR", "");

    assert!(page.contains(".TH auth_user 1 "), "{page}");
    for (flag, _, variable, default) in FLAGS {
        assert!(roff.contains(flag), "{flag}");
        assert!(roff.contains(variable), "{variable}");
        assert!(roff.contains(default), "{flag}: {default}");
    }
    let headings: Vec<&str> = roff
        .lines()
        .filter(|line| line.starts_with(".SS"))
        .collect();
    for command in commands() {
        let call = format!("auth_user {command}");
        assert!(
            headings.iter().any(|line| line.contains(&call)),
            "{call}: {headings:?}"
        );
    }
    assert!(
        headings
            .iter()
            .any(|line| line.contains("auth_user user reset-2fa")),
        "{headings:?}"
    );
    // The page is one, so it must not lead to others.
    assert!(!roff.contains("(1)"), "{roff}");
}

#[cfg(feature = "makers")]
#[test]
fn groff_finds_nothing_to_say_about_the_manual() {
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("auth_user.1");
    fs::write(&page, printed(&["man"])).unwrap();

    let read = Command::new("groff")
        .args(["-man", "-Tutf8", "-ww", "-z"])
        .arg(&page)
        .output()
        .unwrap();

    let said = String::from_utf8_lossy(&read.stderr).into_owned();
    assert!(read.status.success() && said.is_empty(), "{said}");
}
