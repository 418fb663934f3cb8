//! Every page is judged by somebody else's reading of the HTML standard.

use std::fs;
use std::process::Command;

use super::samples::{render, samples, site};

const JUDGE: &str = "tests/pages/node_modules/.bin/html-validate";

#[test]
fn every_page_in_every_form_is_valid_html() {
    let folder = tempfile::tempdir().unwrap();
    for (name, page) in samples("alice") {
        let file = folder.path().join(format!("{name}.html"));
        fs::write(file, render(&site(), page.as_ref())).unwrap();
    }

    let judged = Command::new(JUDGE)
        .args(["--config", "tests/pages/.htmlvalidate.json"])
        .args(["--formatter", "text", "--max-warnings", "0"])
        .arg(folder.path())
        .output()
        .unwrap_or_else(|error| panic!("{JUDGE}: {error}; tests/setup installs it"));

    let complaints = String::from_utf8_lossy(&judged.stdout);
    assert!(judged.status.success(), "{complaints}");
}
