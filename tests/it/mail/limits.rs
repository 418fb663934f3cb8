//! What one account, one address and a full outbox can do to the mail of others: nothing.

use std::fs;
use std::os::unix::fs::symlink;

use crate::harness::place;
use crate::harness::{CONFIRMATION, NEW_LOGIN, PASSWORD, Server, Visitor, wait_for};
use crate::mail::forgot;

/// New recovery codes, by one of those there are, which mails a notice; the new ones.
fn replace_codes(visitor: &Visitor, codes: &[String]) -> Vec<String> {
    let form = [("current_password", PASSWORD), ("secret", &codes[0])];
    let answer = visitor.post("/account/recovery_codes", &form);
    answer.expect("recovery_codes");
    answer.recovery_codes()
}

/// How many mails to this address wait, but for those that ask to confirm it or tell of a login.
fn mails(server: &Server, to: &str) -> usize {
    let to = format!("To: {to}\r\n");
    fs::read_dir(server.path("outbox"))
        .unwrap()
        .flatten()
        .filter_map(|entry| fs::read_to_string(entry.path()).ok())
        .filter(|mail| mail.contains(&to))
        .filter(|mail| !mail.contains(CONFIRMATION) && !mail.contains(NEW_LOGIN))
        .count()
}

/// Waits until the outbox holds so many mails to this address.
fn wait_for_mails(server: &Server, to: &str, count: usize) {
    wait_for("the mails", || (mails(server, to) == count).then_some(()));
}

/// As [`Visitor::with_account`], with another address; and its recovery codes.
fn with_address(server: &Server, name: &str, email: &str) -> (Visitor, Vec<String>) {
    let visitor = Visitor::program(server);
    let form = [("username", name), ("email", email), ("password", PASSWORD)];
    visitor.post("/register", &form).expect("registered");
    visitor.enrol(name);
    let codes = visitor.new_recovery_codes();
    (visitor, codes)
}

#[test]
fn one_account_causes_twenty_notices_an_hour_and_its_acts_go_on() {
    let server = Server::start();
    let (eve, _) = Visitor::with_account(&server, "eve");
    let (bob, _) = Visitor::with_account(&server, "bob");
    let mut codes = eve.new_recovery_codes();
    for _ in 0..21 {
        codes = replace_codes(&eve, &codes);
    }

    server.wait_for_log(
        "event=\"mail\" user=\"eve\" what=\"recovery_codes_replaced\" result=\"too_many\"",
    );
    // Nobody else is kept from their mail, nor is she from a new password.
    bob.new_recovery_codes();
    eve.mailed_password(&server, "eve");

    wait_for_mails(&server, "bob@example.com", 1);
    assert_eq!(mails(&server, "eve@example.com"), 20);
}

#[test]
fn one_mailbox_gets_twenty_notices_an_hour_from_all_accounts() {
    let server = Server::start();
    for n in 0..3 {
        let email = format!("victim+{n}@example.com");
        let (eve, mut codes) = with_address(&server, &format!("eve{n}"), &email);
        for _ in 0..7 {
            codes = replace_codes(&eve, &codes);
        }
    }

    server.wait_for_log("result=\"too_many\"");
    let all: usize = (0..3)
        .map(|n| mails(&server, &format!("victim+{n}@example.com")))
        .sum();
    assert_eq!(all, 20);
}

/// Puts so many mails of an operator's own into the outbox.
fn fill(server: &Server, numbers: std::ops::Range<usize>) {
    for number in numbers {
        fs::write(server.path("outbox").join(format!("{number}.eml")), "").unwrap();
    }
}

#[test]
fn a_quarter_of_the_outbox_is_for_new_passwords_alone() {
    of_one_machine!("the outbox is filled");
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    fill(&server, 0..750);

    alice.new_recovery_codes();

    server.wait_for_log("result=\"not_written\"");
    alice.mailed_password(&server, "alice");
    assert_eq!(mails(&server, "alice@example.com"), 0);
}

#[test]
fn a_mail_that_cannot_be_written_counts_for_nothing_and_its_password_is_not_kept() {
    of_one_machine!("the outbox cannot be written to");
    type Way = fn(&Server);
    let ways: [(&str, Way, Way); 5] = [
        ("full", |server| fill(server, 0..1000), empty),
        (
            "a file",
            |server| replace(server, |path| fs::write(path, "").unwrap()),
            remove,
        ),
        (
            "a link to nothing",
            |server| replace(server, |path| symlink("nothing", path).unwrap()),
            remove,
        ),
        (
            // Its mode is that of the process, and cannot be changed: the server tries.
            "a directory where nothing can be made",
            |server| replace(server, |path| symlink("/proc/self/task", path).unwrap()),
            remove,
        ),
        (
            "a link to itself",
            |server| replace(server, |path| symlink("outbox", path).unwrap()),
            remove,
        ),
    ];
    let server = Server::start();
    let (_, _) = Visitor::with_account(&server, "alice");
    let stranger = Visitor::program(&server);
    let ask = || {
        let answer = stranger.post("/forgot_password", &[("username", "alice")]);
        answer.expect("new_password_sent");
    };
    for (n, (way, spoil, mend)) in ways.into_iter().enumerate() {
        spoil(&server);

        ask();
        ask();
        ask();

        wait_for(way, || {
            let failed = server.log().matches("result=\"not_written\"").count();
            (failed == 3 * (n + 1)).then_some(())
        });
        let alice = server.users()["users"]["alice"].take();
        assert_eq!(alice.get("mails"), None, "{way}");
        assert_eq!(alice.get("mailed_passwords"), None, "{way}");
        mend(&server);
    }

    let first = stranger.mailed_password(&server, "alice");
    let second = stranger.mailed_password(&server, "alice");
    for password in [first, second] {
        let login = [("username", "alice"), ("password", password.as_str())];
        stranger.post("/login", &login).expect("code_required");
    }
}

fn empty(server: &Server) {
    for entry in fs::read_dir(server.path("outbox")).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
}

fn replace(server: &Server, by: impl FnOnce(&std::path::Path)) {
    fs::remove_dir_all(server.path("outbox")).unwrap();
    by(&server.path("outbox"));
}

fn remove(server: &Server) {
    fs::remove_file(server.path("outbox")).unwrap();
    fs::create_dir(server.path("outbox")).unwrap();
}

#[test]
fn a_notice_that_cannot_be_written_undoes_nothing_and_counts_for_nothing() {
    of_one_machine!("the outbox cannot be written to");
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let mut codes = alice.new_recovery_codes();
    server.next_mail("Your recovery codes were replaced");
    replace(&server, |path| fs::write(path, "").unwrap());
    for _ in 0..20 {
        codes = replace_codes(&alice, &codes);
    }
    wait_for("the failures", || {
        let failed = server.log().matches("result=\"not_written\"").count();
        (failed == 20).then_some(())
    });
    remove(&server);

    replace_codes(&alice, &codes);

    server.next_mail("Your recovery codes were replaced");
}

/// A server that believes a test where it comes from.
fn believing() -> Server {
    Server::start_with(&["--no-tls", "--trusted-proxy", "127.0.0.1"])
}

/// The mails to each of these names once one more to the last of them has come, and no fewer to the
/// first than this: one node writes mails in the order in which they were asked for, several do not.
fn mails_to(server: &Server, names: [&str; 2], least: usize) -> [usize; 2] {
    let count = |mails: &[String], name: &str| {
        let to = format!("To: {name}@example.com\r\n");
        mails.iter().filter(|mail| mail.contains(&to)).count()
    };
    wait_for("the last mail", || {
        let mails = place::mails(server.dir.path());
        let counts = names.map(|name| count(&mails, name));
        (counts[0] >= least && counts[1] > 0).then_some(counts)
    })
}

#[test]
fn five_mails_an_hour_go_to_an_account_and_strangers_leave_its_owner_one() {
    let server = believing();
    let (home, _) = Visitor::with_account(&server, "alice");
    home.register("bob");
    let from = |address: &str| Visitor::program(&server).sending("x-forwarded-for", address);
    let ask = |visitor: &Visitor, name| visitor.post("/forgot_password", &[("username", name)]);

    // Two of each network, and four of them all.
    let strangers: Vec<_> = ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::ffff"]
        .iter()
        .flat_map(|address| ["alice"; 3].map(|name| ask(&from(address), name)))
        .collect();
    let unknown = ask(&from("192.0.2.3"), "nobody");
    forgot(&from("192.0.2.3"), "bob");
    assert_eq!(mails_to(&server, ["alice", "bob"], 4), [4, 1]);

    let owner = ["alice"; 3].map(|name| ask(&home, name));
    home.register("carol");
    forgot(&home, "carol");
    assert_eq!(mails_to(&server, ["alice", "carol"], 5), [5, 1]);

    for answer in strangers.into_iter().chain(owner) {
        assert_eq!((answer.status, &answer.body), (200, &unknown.body));
    }
}
