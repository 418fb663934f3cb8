//! The logo of the operator, in the pages or left out of them.

use std::fs;
use std::process::Command;

use crate::harness::{Accept, Setup, Visitor};

#[test]
fn the_operators_logo_stands_in_the_page_and_the_policy_allows_no_other_image() {
    let setup = Setup::new();
    fs::write(setup.dir().join("logo.svg"), "<svg/>").unwrap();
    let server = setup.start();

    let page = Visitor::new(&server, Accept::Page).get("/login");

    let image = "<img class=\"logo\" src=\"data:image/svg+xml;base64,PHN2Zy8+\" alt=\"\">";
    assert!(page.body.contains(image), "{page:?}");
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("; img-src data:; "), "{policy}");
}

#[test]
fn a_logo_that_is_too_large_is_left_out_with_a_warning() {
    let setup = Setup::new();
    fs::write(setup.dir().join("logo.png"), vec![0; 3 * 1024 + 1]).unwrap();
    let server = setup.start();

    let page = Visitor::new(&server, Accept::Page).get("/login");

    assert!(!page.body.contains("<img"), "{page:?}");
    let policy = page.header("content-security-policy").unwrap();
    assert!(!policy.contains("img-src"), "{policy}");
    server.wait_for_log("the logo is too large and is not shown");
}

#[test]
fn a_logo_that_is_a_pipe_does_not_keep_the_server_waiting() {
    let setup = Setup::new();
    let made = Command::new("mkfifo")
        .arg(setup.dir().join("logo.svg"))
        .status();
    assert!(made.unwrap().success());

    let server = setup.start();

    server.wait_for_log("the logo cannot be read and is not shown");
}
