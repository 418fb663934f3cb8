//! What one password check costs, next to other makers' PBKDF2 with the same rounds.

use std::hint::black_box;
use std::num::NonZeroU32;
use std::process::Command;
use std::time::Instant;

use auth_user::accounts::password::{Password, PasswordHash, ROUNDS as HASH_ROUNDS, verify};
use aws_lc_rs::pbkdf2;

use crate::report::{self, Series, Target};

/// Checks are short: more of them than of other rounds.
const CHECKS: usize = 15;

const PASSWORD: &str = "seven wild horses";
const SALT: [u8; 16] = [7; 16];

pub(crate) fn run() {
    let password = Password::new(PASSWORD);
    let hash = PasswordHash::new(&password);
    let with_python = python().is_some();

    let (mut ours, mut aws_lc, mut openssl) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..CHECKS {
        ours.push(milliseconds(|| assert!(verify(Some(&hash), &password))));
        aws_lc.push(milliseconds(derive_with_aws_lc));
        if with_python {
            openssl.extend(python());
        }
    }

    let ours = Series::new(ours).median();
    let mut others = vec![("aws-lc-rs", Series::new(aws_lc).median())];
    if with_python {
        others.push(("OpenSSL", Series::new(openssl).median()));
    } else {
        report::note("one password check", "no python3: OpenSSL's is left out");
    }
    let fastest = others.iter().map(|(_, took)| *took).fold(ours, f64::min);
    let list: String = others
        .iter()
        .map(|(name, took)| format!(", {name} {took:.1}"))
        .collect();
    let ratio = ours / fastest;
    let seen = format!("{ours:.1} ms{list}: × {ratio:.2} of the fastest");
    report::line("one password check", seen, ratio, Target::AtMost(1.05));
}

fn milliseconds(work: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    work();
    begun.elapsed().as_secs_f64() * 1000.0
}

fn derive_with_aws_lc() {
    let rounds = NonZeroU32::new(HASH_ROUNDS).unwrap();
    let mut hash = [0; 32];
    let algorithm = pbkdf2::PBKDF2_HMAC_SHA256;
    pbkdf2::derive(algorithm, rounds, &SALT, PASSWORD.as_bytes(), &mut hash);
    black_box(hash);
}

/// Milliseconds as Python's hashlib takes them, which asks OpenSSL. None if there is no Python.
fn python() -> Option<f64> {
    let program = format!(
        "import hashlib, time\n\
         begun = time.perf_counter()\n\
         hashlib.pbkdf2_hmac('sha256', b'{PASSWORD}', b'{}', {HASH_ROUNDS})\n\
         print((time.perf_counter() - begun) * 1000)",
        "\\x07".repeat(SALT.len())
    );
    let output = Command::new("python3")
        .args(["-c", &program])
        .output()
        .ok()?;
    String::from_utf8_lossy(&output.stdout).trim().parse().ok()
}
