//! The outbox in a database, with the couriers of several nodes on it.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use crate::clock::Clock;
use crate::mail::courier::Schedule;
use crate::mail::letter;
use crate::mail::server::Server;
use crate::mail::tests::sink::{Manners, Received, Sink};
use crate::mail::tests::{finish, impatient, mail_at, sender};
use crate::mail::{MAX_WAITING, Mail, Outbox, SmtpUrl};
use crate::store::postgres::HOLD;
use crate::store::postgres::tests::Place;

/// The outbox of a node without SMTP.
fn quiet(place: &Place) -> Outbox {
    Outbox::in_database(place.mail(), sender(), None).unwrap()
}

/// The outbox of a node that sends.
fn sending(place: &Place, sink: &Sink) -> Outbox {
    with_schedule(place, sink, impatient())
}

fn with_schedule(place: &Place, sink: &Sink, schedule: Schedule) -> Outbox {
    let delivery = Some((url(sink), schedule));
    Outbox::in_database_with(place.mail(), sender(), delivery).unwrap()
}

/// Rows go by when a mail was written, and files by their own time.
fn mail_to(address: &str) -> Mail {
    mail_at(Clock::start().now(), address)
}

fn url(sink: &Sink) -> SmtpUrl {
    SmtpUrl::parse(&format!("smtp://{}?tls=none", sink.address)).unwrap()
}

fn message_id(mail: &Received) -> &str {
    let mut lines = mail.text.lines();
    lines.find(|line| line.starts_with("Message-ID: ")).unwrap()
}

/// Ids of mails and whether they are set aside, the oldest first.
fn waiting(place: &Place) -> String {
    place.sql("SELECT is_aside, failures FROM mail ORDER BY id")
}

fn wait_for(what: &str, is: impl Fn() -> bool) {
    for _ in 0..600 {
        if is() {
            return;
        }
        thread::sleep(Duration::from_millis(100));
    }
    panic!("waited in vain for {what}");
}

#[test]
fn of_many_mails_each_is_sent_once_by_whichever_node() {
    let place = Place::new();
    let sinks = [(); 2].map(|()| Sink::start(Manners::default()));
    let nodes = [sending(&place, &sinks[0]), sending(&place, &sinks[1])];
    let without = quiet(&place);

    for n in 0..200 {
        without
            .post(&mail_to(&format!("a{n}@example.org")))
            .unwrap();
    }
    wait_for("an empty table", || waiting(&place).is_empty());

    nodes.iter().for_each(finish);
    let sent: Vec<Vec<Received>> = sinks.iter().map(Sink::all).collect();
    let to: HashSet<&String> = sent.iter().flatten().flat_map(|mail| &mail.to).collect();
    assert_eq!(sent.iter().flatten().count(), 200);
    assert_eq!(to.len(), 200);
    assert!(sent.iter().all(|sent| !sent.is_empty()), "one did it all");
}

#[test]
fn a_mail_whose_node_dies_after_the_servers_yes_is_sent_again_with_the_same_id() {
    let place = Place::new();
    let sinks = [(); 2].map(|()| Sink::start(Manners::default()));
    quiet(&place).post(&mail_to("alice@example.org")).unwrap();
    // A node up to its death.
    let taken = place.mail().take().ok().flatten().unwrap();
    let letter = letter::parse(&taken.text.unwrap()).unwrap();
    let mut server = Server::new(url(&sinks[0]), impatient(), Clock::start());
    assert!(matches!(server.send(&letter, &mut None), Some(Ok(()))));

    let other = sending(&place, &sinks[1]);

    let (first, again) = (sinks[0].next(), sinks[1].next());
    assert_eq!(message_id(&first), message_id(&again));
    assert_eq!(first.text, again.text);
    finish(&other);
    assert_eq!(waiting(&place), "");
}

#[test]
fn a_mail_that_takes_long_stays_with_its_node() {
    let place = Place::new();
    let (go, gate) = channel();
    let slow = Sink::start(Manners {
        gate: Some(gate),
        ..Manners::default()
    });
    let quick = Sink::start(Manners::default());
    let node = sending(&place, &slow);
    node.post(&mail_to("alice@example.org")).unwrap();
    slow.connections
        .recv_timeout(Duration::from_secs(60))
        .unwrap();

    let other = sending(&place, &quick);
    thread::sleep(HOLD + Duration::from_secs(2));
    go.send(()).unwrap();

    assert_eq!(slow.next().to, ["RCPT TO:<alice@example.org>"]);
    finish(&node);
    finish(&other);
    assert!(quick.is_empty());
    assert_eq!(waiting(&place), "");
}

#[test]
fn no_text_of_a_mail_is_in_the_table_in_clear() {
    let place = Place::new();
    quiet(&place).post(&mail_to("alice@example.org")).unwrap();

    let row = place.sql("SELECT encode(text, 'escape'), mail::text FROM mail");

    for word in [
        "s3cret-password",
        "alice",
        "example.org",
        "Subject",
        "New password",
    ] {
        assert!(!row.contains(word), "{word}: {row}");
        let hex: String = word.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert!(!row.contains(&hex), "{word}: {row}");
    }
}

#[test]
fn a_text_that_was_moved_to_another_mail_is_not_sent() {
    let place = Place::new();
    let outbox = quiet(&place);
    outbox.post(&mail_to("alice@example.org")).unwrap();
    outbox.post(&mail_to("bob@example.org")).unwrap();
    place.sql("UPDATE mail SET text = (SELECT text FROM mail ORDER BY id DESC LIMIT 1)");
    let sink = Sink::start(Manners::default());

    let node = sending(&place, &sink);

    wait_for("one to be left", || waiting(&place) == "t|0");
    finish(&node);
    assert_eq!(sink.all().len(), 1);
}

#[test]
fn a_refused_mail_is_set_aside_and_one_put_off_is_tried_again_as_it_was() {
    let place = Place::new();
    let outbox = quiet(&place);
    outbox.post(&mail_to("nobody@example.org")).unwrap();
    outbox.post(&mail_to("alice@example.org")).unwrap();
    let sink = Sink::start(Manners {
        replies: ["550 no such user", "450 later"].into(),
        ..Manners::default()
    });

    let node = sending(&place, &sink);

    let [_, first, again] = [sink.next(), sink.next(), sink.next()];
    finish(&node);
    assert_eq!(first, again);
    assert_eq!(waiting(&place), "t|0");
}

#[test]
fn a_mail_that_was_put_off_waits_and_the_next_one_goes() {
    let place = Place::new();
    let sink = Sink::start(Manners {
        replies: ["450 later"].into(),
        ..Manners::default()
    });
    let schedule = Schedule {
        pause: Box::new(|_| Duration::from_secs(3600)),
        ..impatient()
    };
    let node = with_schedule(&place, &sink, schedule);
    node.post(&mail_to("alice@example.org")).unwrap();
    sink.next();

    node.post(&mail_to("bob@example.org")).unwrap();

    assert_eq!(sink.next().to, ["RCPT TO:<bob@example.org>"]);
    finish(&node);
    assert!(sink.is_empty());
    assert_eq!(waiting(&place), "f|1");
}

#[test]
fn a_dead_server_leaves_mail_to_other_nodes_without_blame() {
    let place = Place::new();
    let dead = Sink::start(Manners {
        hang_ups: usize::MAX,
        ..Manners::default()
    });
    let schedule = Schedule {
        pause: Box::new(|_| Duration::from_secs(3600)),
        ..impatient()
    };
    let node = with_schedule(&place, &dead, schedule);
    node.post(&mail_to("alice@example.org")).unwrap();
    dead.connections
        .recv_timeout(Duration::from_secs(60))
        .unwrap();
    let free = "SELECT taken_by IS NULL AND failures = 0 FROM mail";
    wait_for("it to be free", || place.sql(free) == "t");
    let sink = Sink::start(Manners::default());

    let other = sending(&place, &sink);

    assert_eq!(sink.next().to, ["RCPT TO:<alice@example.org>"]);
    finish(&node);
    finish(&other);
}

#[test]
fn a_full_outbox_refuses_and_takes_again_when_there_is_room() {
    let place = Place::new();
    let outbox = quiet(&place);
    let now = Clock::start().now().wall;
    let fill = format!(
        "INSERT INTO mail (id, at, text)
            SELECT n, {now}, '' FROM generate_series(1, {MAX_WAITING}) n"
    );
    place.sql(&fill);

    let refused = outbox.post(&mail_to("alice@example.org"));
    place.sql("UPDATE mail SET is_aside = true WHERE id = '7'");
    let draft = outbox.draft(&mail_to("alice@example.org")).unwrap();
    place.sql("UPDATE mail SET is_aside = false WHERE id = '7'");
    let late = outbox.send(draft);
    place.sql("DELETE FROM mail WHERE id = '7'");
    let taken = outbox.post(&mail_to("alice@example.org"));

    assert_eq!(refused.err().unwrap().kind(), ErrorKind::QuotaExceeded);
    assert_eq!(late.err().unwrap().kind(), ErrorKind::QuotaExceeded);
    assert_eq!(taken.unwrap(), None);
    outbox.count();
    assert_eq!(outbox.waiting(), MAX_WAITING);
}

#[test]
fn what_no_node_has_sent_within_a_day_is_set_aside_and_does_not_pile_up() {
    let place = Place::new();
    let now = Clock::start().now().wall;
    let (old, young) = (now - 24 * 3600 - 5, now - 24 * 3600 + 60);
    place.sql(&format!(
        "INSERT INTO mail (id, at, text) VALUES ('old', {old}, ''), ('young', {young}, '');
        INSERT INTO mail (id, at, text, is_aside)
            SELECT lpad(n::text, 6, '0'), 0, '', true FROM generate_series(1, {MAX_WAITING}) n"
    ));
    let outbox = quiet(&place);

    outbox.count();

    assert_eq!(outbox.waiting(), 1);
    assert_eq!(place.sql("SELECT id FROM mail WHERE NOT is_aside"), "young");
    let aside = "SELECT count(*), min(id), max(id) FROM mail WHERE is_aside";
    assert_eq!(place.sql(aside), format!("{MAX_WAITING}|000002|old"));
}
