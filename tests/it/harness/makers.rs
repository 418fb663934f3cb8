//! Hashes as the programs make them from which people move here. `tests/setup` installs them.

use std::io::Write as _;
use std::process::{Command, Stdio};

/// Has Django make the hashes of the password on standard input, a kind a line.
const DJANGO: &str = "
import sys
from django.conf import settings
hashers = ['PBKDF2PasswordHasher', 'Argon2PasswordHasher', 'BCryptPasswordHasher',
           'BCryptSHA256PasswordHasher']
settings.configure(PASSWORD_HASHERS=['django.contrib.auth.hashers.' + name for name in hashers])
from django.contrib.auth.hashers import make_password
password = sys.stdin.read()
for kind in ['pbkdf2_sha256', 'argon2', 'bcrypt', 'bcrypt_sha256']:
    print(make_password(password, hasher=kind))
";

/// What a program prints that is given this on its standard input.
pub(crate) fn output(words: &[&str], input: &str) -> String {
    let mut child = Command::new(words[0])
        .args(&words[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("{words:?}: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{words:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A line of `htpasswd`, which knows `-B`, `-m` and `-s` among others.
pub(crate) fn htpasswd(kind: &str, name: &str, password: &str) -> String {
    output(&["htpasswd", "-ni", kind, name], &format!("{password}\n"))
}

/// Hashes of a password of all kinds that are taken, each from the program that is known for it.
pub(crate) fn hashes(password: &str) -> Vec<String> {
    let mut hashes: Vec<String> = ["-B", "-m", "-s"]
        .iter()
        .map(|kind| htpasswd(kind, "x", password)["x:".len()..].to_owned())
        .collect();
    for words in [
        &["mkpasswd", "--stdin", "--method=sha-512"][..],
        &["mkpasswd", "--stdin", "--method=sha-256", "--rounds=20000"],
        &["mkpasswd", "--stdin", "--method=bcrypt"],
        &["mkpasswd", "--stdin", "--method=bcrypt-a"],
    ] {
        hashes.push(output(words, password));
    }
    for kind in ["-id", "-i"] {
        let words = [
            "argon2", "saltsalt", kind, "-t", "3", "-k", "65536", "-p", "4", "-e",
        ];
        hashes.push(output(&words, password));
    }
    hashes.extend(django(password));
    hashes
}

/// Hashes of a password by Django's own hashers.
pub(crate) fn django(password: &str) -> Vec<String> {
    let printed = output(&["/usr/bin/python3", "-c", DJANGO], password);
    printed.lines().map(str::to_owned).collect()
}
