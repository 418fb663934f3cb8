use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use crate::accounts::kept::Unknown;
use crate::accounts::{Account, Totp, totp};
use crate::clock::{Moment, Timestamp};
use crate::mail::letter::{compose, read};
use crate::mail::tests::sink::{Manners, Sink};
use crate::mail::tests::{SITE, finish, mail_to, names, noon, owner, quiet, sender, sending};
use crate::mail::{Edit, Mail, Notice, Sender};

fn alice() -> Account {
    owner("alice@example.org", "alice")
}

fn enrolled(account: Account) -> Account {
    let secret = totp::Secret::new();
    Account {
        totp: Some(Totp {
            secret,
            last_step: 0,
            other: Unknown::default(),
        }),
        ..account
    }
}

/// Texts that some mail server takes for the end of a header section, a line, an address or a mail.
const NASTY: [&str; 22] = [
    "x\r\nBcc: eve@example.net",
    "x\nBcc: eve@example.net",
    "x\rBcc: eve@example.net",
    "x\r\n\r\nNew password: mine",
    "x%0d%0aBcc: eve@example.net",
    "x\u{2028}Bcc: eve@example.net",
    "x\u{2029}Subject: mine",
    "x\u{85}Subject: mine",
    "x\u{b}Subject: mine",
    "x\0y",
    "x@example.org>,<eve@example.net",
    "x@example.org, eve@example.net",
    "x@example.org;eve@example.net",
    "\"x, eve@example.net\"",
    "\"x\r\n .\"",
    "x(eve@example.net)",
    "\r\n.\r\nMAIL FROM:<eve@example.net>\r\nRCPT TO:<eve@example.net>\r\nDATA",
    ".",
    "=?utf-8?q?x=0d=0aBcc:_eve@example.net?=",
    "x> SIZE=1\r\nRCPT TO:<eve@example.net",
    "päivi\u{202e}{password}",
    "\u{feff}x\u{200b}",
];

/// The values of all fields of this name, with folded lines joined.
fn fields<'a>(head: &'a str, name: &str) -> Vec<&'a str> {
    head.split("\r\n")
        .filter_map(|line| line.split_once(": "))
        .filter(|(field, _)| field.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
        .collect()
}

/// Header section and body, the body as a mail program shows it.
fn opened(text: &str) -> (String, String) {
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let body = match fields(head, "Content-Transfer-Encoding")[..] {
        ["7bit"] => body.to_owned(),
        ["quoted-printable"] => unquoted(body),
        ref other => panic!("{other:?}"),
    };
    (head.to_owned(), body.replace("\r\n", "\n"))
}

fn unquoted(body: &str) -> String {
    let joined = body.replace("=\r\n", "");
    let mut pieces = joined.split('=');
    let mut bytes = pieces.next().unwrap().as_bytes().to_vec();
    for piece in pieces {
        bytes.push(u8::from_str_radix(&piece[..2], 16).unwrap());
        bytes.extend_from_slice(&piece.as_bytes()[2..]);
    }
    String::from_utf8(bytes).unwrap()
}

fn assert_sound(text: &str, subject: &str) {
    let (head, _) = opened(text);
    assert_eq!(fields(&head, "Subject"), [subject]);
    let mut names: Vec<&str> = head
        .split("\r\n")
        .map(|line| line.split_once(": ").unwrap().0)
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "Auto-Submitted",
            "Content-Transfer-Encoding",
            "Content-Type",
            "Date",
            "From",
            "MIME-Version",
            "Message-ID",
            "Subject",
            "To"
        ]
    );
}

#[test]
fn the_mail_with_a_new_password_says_everything_one_needs() {
    let mail = Mail::new_password(&alice(), "hunter22", noon(), 30, SITE).unwrap();

    let text = String::from_utf8(compose(&sender(), &mail, "7f").unwrap()).unwrap();

    let (head, body) = opened(&text);
    assert_sound(&text, "Your new password");
    assert_eq!(fields(&head, "From"), ["login@example.com"]);
    assert_eq!(fields(&head, "To"), ["alice@example.org"]);
    assert_eq!(fields(&head, "Date"), ["Sun, 22 Nov 2026 12:00:00 +0000"]);
    assert_eq!(fields(&head, "Message-ID"), ["<7f@example.com>"]);
    assert_eq!(fields(&head, "Content-Type"), ["text/plain; charset=utf-8"]);
    assert!(body.starts_with("Hello alice,\n\nSomebody, probably you,"));
    assert!(body.contains("\nNew password: hunter22\n"));
    assert!(body.contains("on 22 November 2026 at 12:00 UTC."));
    assert!(body.contains("for 30 minutes"));
    assert!(body.contains("\nhttps://login.example.com/login\n"));
    assert!(body.contains("If you did not ask for this,"));
}

/// Every notice there is, with its subject.
fn notices() -> Vec<(Notice, &'static str)> {
    let new = "alice@example.net".to_owned();
    vec![
        (Notice::AccountDeleted, "Your account was deleted"),
        (
            Notice::AuthenticatorChanged,
            "Your authenticator was changed",
        ),
        (
            Notice::Edited(Edit::AuthenticatorChanged),
            "Your authenticator was changed",
        ),
        (
            Notice::Edited(Edit::AuthenticatorRemoved),
            "Your authenticator was removed",
        ),
        (
            Notice::EmailChanged(new.clone()),
            "Your e-mail address was changed",
        ),
        (
            Notice::Edited(Edit::Email(Some(new))),
            "Your e-mail address was changed",
        ),
        (Notice::Edited(Edit::Password), "Your password was changed"),
        (
            Notice::PasskeyAdded("Key ring".to_owned()),
            "A passkey was added",
        ),
        (
            Notice::PasskeyCopied("Key ring".to_owned()),
            "A passkey may have been copied",
        ),
        (
            Notice::PasskeyRemoved("Key ring".to_owned()),
            "A passkey was removed",
        ),
        (Notice::PasswordChanged, "Your password was changed"),
        (Notice::PasswordKnown, "Somebody has your password"),
        (
            Notice::RecoveryCodeUsed { left: 9 },
            "A recovery code was used",
        ),
        (
            Notice::RecoveryCodesReplaced,
            "Your recovery codes were replaced",
        ),
        (
            Notice::TokenMade {
                name: "Phone\r\nBcc: x".to_owned(),
                hosts: vec!["app.example.com".to_owned(), "dav.example.com".to_owned()],
                expires: Timestamp(1_800_000_000),
            },
            "An access token was made",
        ),
        (
            Notice::TokenRemoved {
                name: "Phone".to_owned(),
            },
            "An access token was removed",
        ),
    ]
}

#[test]
fn every_notice_says_when_and_what_to_do_if_it_was_not_you() {
    for account in [alice(), enrolled(alice())] {
        for (notice, subject) in notices() {
            let mail = notice.mail(&account, noon(), SITE).unwrap();
            let text = String::from_utf8(compose(&sender(), &mail, "7f").unwrap()).unwrap();

            assert_sound(&text, subject);
            let (_, body) = opened(&text);
            assert!(body.contains("on 22 November 2026 at 12:00 UTC"), "{body}");
            assert!(body.contains("If it was not you"), "{body}");
            assert!(body.contains("\nhttps://login.example.com/"), "{body}");
            assert!(body.lines().all(|line| line.len() <= 76), "{body}");
            assert!(
                text.contains("\r\nContent-Transfer-Encoding: 7bit\r\n"),
                "{body}"
            );
        }
    }
}

#[test]
fn a_new_password_does_not_hide_the_passkeys_that_it_leaves() {
    let passkey = |id: &str| {
        serde_json::from_value(serde_json::json!({
            "id": id, "key": format!("pAEBAycgBiFYI{}", "A".repeat(43)),
            "name": "Key", "created": "2026-11-22T12:00:00Z", "used": null, "count": 0,
            "verified": true, "synced": true, "rp": "login.example.com",
        }))
        .unwrap()
    };
    for notice in [Notice::PasswordChanged, Notice::Edited(Edit::Password)] {
        let body = |passkeys| {
            let account = Account {
                passkeys,
                ..enrolled(alice())
            };
            notice.mail(&account, noon(), SITE).unwrap().body
        };
        assert!(!body(vec![]).contains("passkey"));
        assert!(body(vec![passkey("AQ")]).contains("\nStill good: 1 passkey."));
        assert!(body(vec![passkey("AQ"), passkey("Ag")]).contains("\nStill good: 2 passkeys."));
    }
}

/// What a mail says to somebody with an authenticator, and to somebody without.
#[test]
fn nobody_is_told_of_a_second_factor_they_do_not_have() {
    let new_password = |account: &Account| {
        let mail = Mail::new_password(account, "hunter22", noon(), 30, SITE).unwrap();
        mail.body
    };
    let with = new_password(&enrolled(alice()));
    let without = new_password(&alice());
    assert!(with.contains("asked for a code of your authenticator"));
    assert!(with.contains("no use without a code"));
    assert!(without.contains("asked to set up an authenticator"));
    for false_promise in ["usual", "no use without", "recovery code", "your code"] {
        assert!(!without.contains(false_promise), "{without}");
    }

    let known = |account: &Account| {
        Notice::PasswordKnown
            .mail(account, noon(), SITE)
            .unwrap()
            .body
    };
    assert!(known(&enrolled(alice())).contains("a recovery code gets you in"));
    let without = known(&alice());
    assert!(without.contains("whoever knows the\npassword can set up theirs"));
    assert!(!without.contains("recovery code"), "{without}");
}

#[test]
fn how_many_recovery_codes_are_left_is_said_for_each_number() {
    for (left, said) in [(9, "9 are left."), (1, "1 is left."), (0, "0 are left.")] {
        let mail = Notice::RecoveryCodeUsed { left }
            .mail(&alice(), noon(), SITE)
            .unwrap();
        assert!(mail.body.contains(&format!("\n{said}")), "{}", mail.body);
    }
}

#[test]
fn an_invitation_names_the_host_the_link_and_its_end_in_days() {
    let link = format!("{SITE}/invitation?token={}", "t".repeat(22));
    for (days, said) in [
        (0, "less than a day"),
        (1, "1 day"),
        (7, "7 days"),
        (90, "90 days"),
    ] {
        let expires = noon()
            .timestamp()
            .plus(Duration::from_secs(days * 86_400 + 1800));
        let mail = Mail::invitation("a@b.c", None, &link, (noon(), expires), SITE);
        let text = String::from_utf8(compose(&sender(), &mail, "7f").unwrap()).unwrap();
        assert_sound(&text, "Your invitation");
        let (_, body) = opened(&text);
        assert!(body.contains("at login.example.com.\n"), "{body}");
        assert!(body.contains(&format!("\n\n{link}\n\n")), "{body}");
        assert!(body.contains(&format!("for {said}: until ")), "{body}");
        assert!(body.contains(", 12:00 UTC."), "{body}");
        assert!(!body.contains("minute"), "{body}");
        assert!(body.lines().all(|line| line.len() <= 76), "{body}");
    }
    let made = |name| {
        let ends = (noon(), noon().timestamp());
        Mail::invitation("a@b.c", Some(name), &link, ends, SITE).body
    };
    assert!(made("carol").contains("\nYour username there is carol.\n"));
    for name in NASTY {
        assert_eq!(made(name).lines().count(), made("carol").lines().count());
    }
}

#[test]
fn an_administrator_is_told_where_the_accounts_file_cannot_be_read() {
    let reason = "line 3, column 7: expected `,`\r\nBcc: eve@example.net";
    let mail = Mail::accounts_unreadable(&alice(), "/srv/users.json", reason, noon()).unwrap();

    let text = String::from_utf8(compose(&sender(), &mail, "7f").unwrap()).unwrap();

    assert_sound(&text, "The accounts file cannot be read");
    let (_, body) = opened(&text);
    assert!(body.contains("The accounts file /srv/users.json cannot be read\non 22 November"));
    assert!(body.contains("\nline 3, column 7: expected `,`  Bcc: eve@example.net\n"));
}

#[test]
fn a_link_stands_alone_on_its_line_as_it_is() {
    let token = "0123456789abcdef-_ABCD";
    for mail in [
        Mail::confirmation(&alice(), token, noon(), 24, SITE),
        Mail::change_of_address(&alice(), token, noon(), 24, SITE),
    ] {
        let text = String::from_utf8(compose(&sender(), &mail.unwrap(), "7f").unwrap()).unwrap();

        assert_sound(&text, "Please confirm your e-mail address");
        let link = format!("\r\n\r\n{SITE}/confirm?token={token}\r\n\r\n");
        assert!(text.contains(&link), "{text}");
        assert!(text.contains("works once, for 24 hours"), "{text}");
        assert!(text.contains("If you did not ask for this,"), "{text}");
    }
}

#[test]
fn who_is_asked_for_their_address_is_told_nothing_of_the_asker_and_given_no_link() {
    let mail = Mail::address_wanted(&alice(), noon()).unwrap();

    let text = String::from_utf8(compose(&sender(), &mail, "7f").unwrap()).unwrap();

    assert_sound(&text, "Somebody asked to use your e-mail address");
    let (_, body) = opened(&text);
    assert!(body.contains("on 22 November 2026 at 12:00 UTC."), "{body}");
    assert!(body.contains("If it was not you"), "{body}");
    assert!(!body.contains("//") && !body.contains("example"), "{body}");
}

#[test]
fn a_nasty_name_changes_neither_the_recipient_nor_the_rest_of_the_mail() {
    let dir = tempfile::tempdir().unwrap();
    let sink = Sink::start(Manners::default());
    let outbox = sending(dir.path(), sink.address);
    let plain = Mail::new_password(&alice(), "hunter22", noon(), 30, SITE).unwrap();
    for name in NASTY {
        let alice = owner("alice@example.org", name);
        let mail = Mail::new_password(&alice, "hunter22", noon(), 30, SITE).unwrap();

        outbox.post(&mail).unwrap();

        let received = sink.next();
        assert_eq!(received.to, ["RCPT TO:<alice@example.org>"]);
        assert_sound(&received.text, "Your new password");
        let (head, body) = opened(&received.text);
        assert_eq!(fields(&head, "To"), ["alice@example.org"]);
        let (hello, rest) = body.split_once('\n').unwrap();
        assert!(hello.starts_with("Hello ") && hello.ends_with(','));
        assert!(!hello.contains(['\u{2028}', '\u{2029}', '\r']));
        assert_eq!(
            Some(rest),
            plain.body.split_once('\n').map(|(_, rest)| rest)
        );
    }
    finish(&outbox);
    assert!(sink.is_empty());
}

#[test]
fn a_nasty_address_gets_no_mail_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = quiet(dir.path());
    for nasty in NASTY {
        for address in [format!("{nasty}@example.org"), format!("a@{nasty}")] {
            let refused = outbox.post(&mail_to(&address));
            assert_eq!(
                refused.err().map(|error| error.kind()),
                Some(ErrorKind::InvalidInput),
                "{address:?}"
            );
        }
    }
    assert!(names(dir.path()).is_empty());
}

#[test]
fn an_international_domain_is_written_in_its_ascii_form() {
    let mail = mail_to("alice@bücher.example");

    let text = compose(&sender(), &mail, "7f").unwrap();

    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("\r\nTo: alice@xn--bcher-kva.example\r\n"));
}

/// Lengths around the one where a line no longer fits and the encoding changes.
#[test]
fn a_name_of_any_length_can_be_greeted() {
    for length in 0..=300 {
        let name = "x".repeat(length);
        let owner = owner("alice@example.org", &name);
        let mail = Notice::AccountDeleted.mail(&owner, noon(), SITE).unwrap();

        let text = compose(&sender(), &mail, "7f").unwrap();

        let (_, body) = opened(&String::from_utf8(text).unwrap());
        assert_eq!(body, mail.body);
    }
}

#[test]
fn a_sender_is_an_address_with_a_name_or_without() {
    for good in [
        "auth_user@localhost",
        "<login@example.com>",
        "Me <login@example.com>",
        "\"Me, myself\"<login@example.com>",
    ] {
        assert!(Sender::parse(good).is_ok(), "{good}");
    }
    for bad in [
        "",
        "login",
        "@example.com",
        "a@b, c@d",
        "Me login@example.com",
        "Me login@example.com>",
        "Me <login@example.com> you",
        "Me <login>",
        "Me <<login@example.com>>",
        "\"Me <login@example.com>",
        "M\"e\" <login@example.com>",
        "Me\r\nBcc: eve@example.net <login@example.com>",
        "\u{2028} Me \u{7}<login@example.com>",
    ] {
        assert!(Sender::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_senders_name_is_shown_and_the_envelope_has_the_bare_address() {
    let dir = tempfile::tempdir().unwrap();
    for (given, field) in [
        ("Login <login@example.com>", "Login <login@example.com>"),
        ("\"Login\" <login@example.com>", "Login <login@example.com>"),
        (
            "\"Login, Ltd.\" <login@example.com>",
            "=?utf-8?b?TG9naW4sIEx0ZC4=?= <login@example.com>",
        ),
        (
            "Login, Ltd. <login@example.com>",
            "=?utf-8?b?TG9naW4sIEx0ZC4=?= <login@example.com>",
        ),
        (
            "\"The \\\"Door\\\"\" <login@example.com>",
            "\"The \\\"Door\\\"\" <login@example.com>",
        ),
        ("<login@example.com>", "login@example.com"),
        (
            "B\u{fc}ro <login@example.com>",
            "=?utf-8?b?QsO8cm8=?= <login@example.com>",
        ),
        (
            "\"\u{767b}\u{5f55} \u{1f511}\" <login@example.com>",
            "=?utf-8?b?55m75b2VIPCflJE=?= <login@example.com>",
        ),
    ] {
        let from = Sender::parse(given).unwrap();
        let text = compose(&from, &mail_to("alice@example.com"), "id").unwrap();
        let mail = String::from_utf8(text.clone()).unwrap();
        assert_eq!(fields(&mail, "From"), [field], "{given}");

        let file = dir.path().join("mail.eml");
        std::fs::write(&file, &text).unwrap();
        let envelope = read(&file).unwrap().envelope;
        assert_eq!(envelope.from().unwrap().to_string(), "login@example.com");
    }
    // A name of the greatest length is folded and can be read again.
    let long = format!("{} <login@example.com>", "\u{e4} b".repeat(42));
    let text = compose(
        &Sender::parse(&long).unwrap(),
        &mail_to("a@example.com"),
        "id",
    )
    .unwrap();
    assert!(
        text.split(|byte| *byte == b'\n')
            .all(|line| line.len() < 100)
    );
    std::fs::write(dir.path().join("long.eml"), &text).unwrap();
    let envelope = read(&dir.path().join("long.eml")).unwrap().envelope;
    assert_eq!(envelope.from().unwrap().to_string(), "login@example.com");
}

fn written_and_read(mail: &Mail, file: &Path) -> (String, Vec<String>) {
    std::fs::write(file, compose(&sender(), mail, "7f").unwrap()).unwrap();
    let letter = read(file).ok().unwrap();
    let to = letter.envelope.to().iter().map(ToString::to_string);
    (String::from_utf8(letter.text).unwrap(), to.collect())
}

proptest! {
    #[test]
    fn no_name_password_url_or_date_adds_a_line_or_a_recipient(
        username: String,
        password: String,
        url: String,
        wall: u64,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let at = Moment { wall, ..noon() };
        let owner = owner("a@example.org", &username);
        let mail = Mail::new_password(&owner, &password, at, 30, &url).unwrap();
        let lines = mail_to("a@example.org").body.lines().count();

        let (text, to) = written_and_read(&mail, &dir.path().join("x.eml"));

        prop_assert_eq!(to, ["a@example.org"]);
        assert_sound(&text, "Your new password");
        let (_, body) = opened(&text);
        prop_assert_eq!(&body, &mail.body);
        prop_assert_eq!(body.lines().count(), lines);
    }

    #[test]
    fn no_file_makes_the_sender_panic(bytes: Vec<u8>, head in "(From|To)(:|: )[ -~]{0,30}\r?\n[\r\n ]?") {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.eml");
        std::fs::write(&file, [head.as_bytes(), &bytes].concat()).unwrap();
        prop_assert!(read(&file).is_err() || !read(&file).ok().unwrap().envelope.to().is_empty());
    }
}
