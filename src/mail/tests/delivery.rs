use std::fs::{self, File};
use std::net::TcpListener;
use std::path::Path;
use std::sync::mpsc::channel;
use std::time::{Duration, SystemTime};

use rustix::net::{AddressFamily, SocketType};

use crate::clock::Clock;
use crate::mail::SmtpUrl;
use crate::mail::courier::{Bell, Round as _, Schedule};
use crate::mail::round::Rounds;
use crate::mail::tests::sink::{Manners, Sink};
use crate::mail::tests::{
    finish, impatient, mail_to, names, one_failure_an_hour, quiet, sending, with_schedule,
};

/// Rounds without the thread, so that a test decides when each begins.
fn rounds(dir: &Path, sink: &Sink, pause: impl Fn(u32) -> Duration + Send + 'static) -> Rounds {
    let url = SmtpUrl::parse(&format!("smtp://{}?tls=none", sink.address)).unwrap();
    let schedule = Schedule {
        pause: Box::new(pause),
        ..impatient()
    };
    Rounds::new(dir.to_owned(), url, schedule, Clock::start())
}

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_posted_mail_arrives_once_and_its_file_goes() {
    let dir = tempfile::tempdir().unwrap();
    let sink = Sink::start(Manners::default());
    let outbox = sending(dir.path(), sink.address);

    outbox.post(&mail_to("alice@example.org")).unwrap();

    let received = sink.next();
    finish(&outbox);
    assert_eq!(received.from, "MAIL FROM:<login@example.com>");
    assert_eq!(received.to, ["RCPT TO:<alice@example.org>"]);
    assert!(
        received
            .text
            .contains("\r\nNew password: s3cret-password\r\n")
    );
    assert!(sink.is_empty());
    assert!(names(dir.path()).is_empty());
}

#[test]
fn a_mail_that_waited_through_a_restart_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    quiet(dir.path())
        .post(&mail_to("alice@example.org"))
        .unwrap();
    let sink = Sink::start(Manners::default());

    let outbox = sending(dir.path(), sink.address);

    assert_eq!(sink.next().to, ["RCPT TO:<alice@example.org>"]);
    finish(&outbox);
    assert!(names(dir.path()).is_empty());
}

/// The port is taken but nobody listens on it, so connections are refused.
#[test]
fn a_mail_posted_while_the_server_is_dead_arrives_once_when_it_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    rustix::net::bind(&socket, &any).unwrap();
    let listener = TcpListener::from(socket);
    let (failed, failures) = channel();
    let schedule = Schedule {
        pause: Box::new(move |count| {
            let _ = failed.send(count);
            Duration::ZERO
        }),
        ..impatient()
    };
    let url = format!("smtp://{}?tls=none", listener.local_addr().unwrap());
    let outbox = with_schedule(dir.path(), &url, schedule);

    outbox.post(&mail_to("alice@example.org")).unwrap();
    for expected in [1, 2, 3] {
        assert_eq!(failures.recv_timeout(PATIENCE), Ok(expected));
    }
    rustix::net::listen(&listener, 8).unwrap();
    let sink = Sink::on(listener, Manners::default());

    assert_eq!(sink.next().to, ["RCPT TO:<alice@example.org>"]);
    finish(&outbox);
    assert!(sink.is_empty());
    assert!(names(dir.path()).is_empty());
}

#[test]
fn a_dead_server_is_tried_once_for_all_that_waits() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..5 {
        quiet(dir.path())
            .post(&mail_to("alice@example.org"))
            .unwrap();
    }
    let sink = Sink::start(Manners {
        hang_ups: usize::MAX,
        ..Manners::default()
    });
    let (schedule, failures) = one_failure_an_hour();
    let url = format!("smtp://{}?tls=none", sink.address);

    let outbox = with_schedule(dir.path(), &url, schedule);

    failures.recv_timeout(PATIENCE).unwrap();
    finish(&outbox);
    assert_eq!(sink.connections.try_iter().count(), 1);
    assert_eq!(names(dir.path()).len(), 5);
}

#[test]
fn a_server_that_failed_is_left_alone_until_its_next_try_is_due() {
    let dir = tempfile::tempdir().unwrap();
    let waiting = quiet(dir.path());
    waiting.post(&mail_to("alice@example.org")).unwrap();
    let sink = Sink::start(Manners {
        hang_ups: usize::MAX,
        ..Manners::default()
    });
    let mut rounds = rounds(dir.path(), &sink, |_| Duration::from_secs(3600));

    rounds.go(&Bell::default());
    waiting.post(&mail_to("bob@example.org")).unwrap();
    rounds.hurry();
    rounds.go(&Bell::default());

    sink.connections.recv_timeout(PATIENCE).unwrap();
    assert!(sink.connections.try_recv().is_err());
}

/// The server hangs up at the first mail that it is given, whichever that is.
#[test]
fn a_mail_that_broke_the_server_lets_the_others_go_first() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["1", "2", "3"] {
        let text = format!("From: a@example.com\nTo: {name}@example.com\n\nhello");
        fs::write(dir.path().join(format!("{name}.eml")), text).unwrap();
    }
    let sink = Sink::start(Manners {
        replies: ["421 closing"].into(),
        ..Manners::default()
    });
    let mut rounds = rounds(dir.path(), &sink, |_| Duration::ZERO);

    rounds.go(&Bell::default());
    rounds.go(&Bell::default());

    let order: Vec<String> = (0..4).map(|_| sink.next().to.concat()).collect();
    let to = |number| format!("RCPT TO:<{number}@example.com>");
    assert_eq!(order, [to(1), to(2), to(3), to(1)]);
    assert!(names(dir.path()).is_empty());
}

#[test]
fn a_mail_put_off_is_sent_again_as_the_same_mail() {
    let dir = tempfile::tempdir().unwrap();
    let sink = Sink::start(Manners {
        replies: ["451 later"].into(),
        ..Manners::default()
    });
    let outbox = sending(dir.path(), sink.address);

    outbox.post(&mail_to("alice@example.org")).unwrap();

    let (first, second) = (sink.next(), sink.next());
    finish(&outbox);
    assert_eq!(first, second);
    assert!(first.text.contains("Message-ID: <"));
    assert!(sink.is_empty());
    assert!(names(dir.path()).is_empty());
}

#[test]
fn a_refused_mail_is_set_aside_and_the_next_one_goes() {
    let dir = tempfile::tempdir().unwrap();
    let waiting = quiet(dir.path());
    let refused = waiting.post(&mail_to("nobody@example.org")).unwrap();
    let refused = refused.unwrap();
    let aside = format!("{}.failed", refused.file_name().unwrap().to_str().unwrap());
    let sink = Sink::start(Manners {
        replies: ["550 no such user"].into(),
        ..Manners::default()
    });

    let outbox = sending(dir.path(), sink.address);
    sink.next();
    outbox.post(&mail_to("alice@example.org")).unwrap();

    assert_eq!(sink.next().to, ["RCPT TO:<alice@example.org>"]);
    finish(&outbox);
    assert!(sink.is_empty());
    assert_eq!(names(dir.path()), [aside]);
}

#[test]
fn a_reply_that_closes_the_server_blames_no_mail() {
    let dir = tempfile::tempdir().unwrap();
    let sink = Sink::start(Manners {
        replies: ["421 closing", "535 who are you"].into(),
        ..Manners::default()
    });
    let outbox = sending(dir.path(), sink.address);

    outbox.post(&mail_to("alice@example.org")).unwrap();

    for _ in 0..3 {
        sink.next();
    }
    finish(&outbox);
    assert!(sink.is_empty());
    assert!(names(dir.path()).is_empty());
}

fn make_a_day_old(mail: &Path) {
    let day_ago = SystemTime::now() - Duration::from_secs(24 * 60 * 60);
    let mail = File::options().write(true).open(mail).unwrap();
    mail.set_modified(day_ago).unwrap();
}

#[test]
fn a_mail_older_than_a_day_is_tried_once_more_and_then_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let file = quiet(dir.path())
        .post(&mail_to("alice@example.org"))
        .unwrap()
        .unwrap();
    make_a_day_old(&file);
    let sink = Sink::start(Manners {
        replies: ["451 later"].into(),
        ..Manners::default()
    });

    let outbox = sending(dir.path(), sink.address);

    sink.next();
    finish(&outbox);
    assert!(sink.is_empty());
    assert!(names(dir.path())[0].ends_with(".eml.failed"));
}

#[test]
fn a_mail_older_than_a_day_is_set_aside_when_the_server_is_dead() {
    let dir = tempfile::tempdir().unwrap();
    let waiting = quiet(dir.path());
    waiting.post(&mail_to("young@example.org")).unwrap();
    let old = waiting.post(&mail_to("old@example.org")).unwrap().unwrap();
    make_a_day_old(&old);
    let sink = Sink::start(Manners {
        hang_ups: 1,
        ..Manners::default()
    });

    let outbox = sending(dir.path(), sink.address);

    assert_eq!(sink.next().to, ["RCPT TO:<young@example.org>"]);
    finish(&outbox);
    assert!(sink.is_empty());
    let aside = format!("{}.failed", old.file_name().unwrap().to_str().unwrap());
    assert_eq!(names(dir.path()), [aside]);
}

/// The server greets only after all mails were posted, and still on the first connection: none of
/// the posts waited for that connection to be given up.
#[test]
fn a_slow_server_does_not_slow_those_who_post() {
    let dir = tempfile::tempdir().unwrap();
    let (open, gate) = channel();
    let sink = Sink::start(Manners {
        gate: Some(gate),
        ..Manners::default()
    });
    let outbox = sending(dir.path(), sink.address);

    for _ in 0..10 {
        outbox.post(&mail_to("alice@example.org")).unwrap();
    }
    sink.connections.recv_timeout(PATIENCE).unwrap();
    assert_eq!(names(dir.path()).len(), 10);
    drop(open);

    for _ in 0..10 {
        sink.next();
    }
    finish(&outbox);
    assert!(sink.is_empty());
    assert!(names(dir.path()).is_empty());
}

#[test]
fn stopping_does_not_wait_for_a_silent_server_and_keeps_the_mail() {
    let dir = tempfile::tempdir().unwrap();
    let (_never, gate) = channel();
    let sink = Sink::start(Manners {
        gate: Some(gate),
        ..Manners::default()
    });
    let outbox = sending(dir.path(), sink.address);
    outbox.post(&mail_to("alice@example.org")).unwrap();
    sink.connections.recv_timeout(PATIENCE).unwrap();

    let ended = outbox.stop_within(Duration::ZERO);

    assert!(!ended);
    assert_eq!(names(dir.path()).len(), 1);
}

#[test]
fn two_processes_on_one_outbox_send_each_mail_once() {
    let dir = tempfile::tempdir().unwrap();
    let sink = Sink::start(Manners::default());
    for _ in 0..20 {
        quiet(dir.path())
            .post(&mail_to("alice@example.org"))
            .unwrap();
    }

    let one = sending(dir.path(), sink.address);
    let other = sending(dir.path(), sink.address);

    for _ in 0..20 {
        sink.next();
    }
    finish(&one);
    finish(&other);
    assert!(sink.is_empty());
    assert!(names(dir.path()).is_empty());
}

#[test]
fn files_that_are_no_mail_are_set_aside_and_hold_up_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let head = "From: a@example.com\r\nTo: b@example.com\r\n";
    for (name, text) in [
        ("0-empty.eml", String::new()),
        (
            "0-for-nobody.eml",
            "From: a@example.com\n\nhello".to_owned(),
        ),
        ("0-large.eml", format!("{head}\r\n{}", "x".repeat(1 << 20))),
        (
            "0-twice-to.eml",
            format!("{head}To: c@example.com\r\n\r\nhello"),
        ),
        (
            "0-quoted.eml",
            "From: a@example.com\nTo: \"a>b\"@example.com\n\nhi".to_owned(),
        ),
    ] {
        fs::write(dir.path().join(name), text).unwrap();
    }
    fs::write(dir.path().join("0-binary.eml"), [0xff, 0xfe, 0]).unwrap();
    fs::create_dir(dir.path().join("0-directory.eml")).unwrap();
    let pipe = dir.path().join("0-pipe.eml");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
    quiet(dir.path())
        .post(&mail_to("alice@example.org"))
        .unwrap();
    let sink = Sink::start(Manners::default());

    let outbox = sending(dir.path(), sink.address);

    assert_eq!(sink.next().to, ["RCPT TO:<alice@example.org>"]);
    finish(&outbox);
    assert!(sink.is_empty());
    let names = names(dir.path());
    assert_eq!(names.len(), 8);
    assert!(names.iter().all(|name| name.ends_with(".eml.failed")));
}

#[test]
fn what_an_operator_drops_in_is_sent_to_whom_it_says_and_cannot_smuggle_a_mail() {
    let dir = tempfile::tempdir().unwrap();
    let text = "from: Ops <ops@example.com>\nTO: a@example.com,\n \"B, b\" <b@example.com>\n\n\
                one\r.\rMAIL FROM:<x@example.com>\n.\n.two\n";
    fs::write(dir.path().join("hand.eml"), text).unwrap();
    let sink = Sink::start(Manners::default());

    let outbox = sending(dir.path(), sink.address);

    let received = sink.next();
    finish(&outbox);
    assert_eq!(received.from, "MAIL FROM:<ops@example.com>");
    assert_eq!(
        received.to,
        ["RCPT TO:<a@example.com>", "RCPT TO:<b@example.com>"]
    );
    let (_, body) = received.text.split_once("\r\n\r\n").unwrap();
    assert_eq!(
        body,
        "one\r\n.\r\nMAIL FROM:<x@example.com>\r\n.\r\n.two\r\n"
    );
    assert!(sink.is_empty());
}

#[test]
fn the_wait_grows_from_ten_seconds_to_half_an_hour() {
    let schedule = Schedule::patient();

    let waits: Vec<u64> = (1..=10)
        .map(|failures| (schedule.pause)(failures).as_secs())
        .collect();

    assert_eq!(waits, [10, 30, 60, 120, 240, 480, 960, 1800, 1800, 1800]);
    assert_eq!((schedule.pause)(u32::MAX).as_secs(), 1800);
    assert_eq!(schedule.give_up.as_secs(), 86_400);
}
