//! Events in a database: written some at a time, and read from all nodes in one order that misses
//! none.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use crate::events::line::Event;
use crate::store::Unavailable;
use crate::store::postgres::{EventRow, EventRows};

/// Most events that wait for the database, and that are written at once.
const MOST_WAITING: usize = 1024;

/// Lines that are read at once.
const AT_ONCE: i64 = 1_000;

/// How long a place that was passed over is looked at again. Places are given when a row is written,
/// and seen when it is committed, which may take long where a standby is waited for.
const MISSED: Duration = Duration::from_secs(600);

/// Most places that are looked at again, and how many before one that is the first.
const MOST_MISSED: usize = 10_000;

/// Events on their way to the database.
pub(super) struct Rows {
    rows: EventRows,
    /// Who writes them.
    node: String,
    waiting: Vec<EventRow>,
}

impl Rows {
    pub(super) fn new(rows: EventRows, node: String) -> Self {
        let waiting = Vec::new();
        Self {
            rows,
            node,
            waiting,
        }
    }

    /// Has an event wait.
    ///
    /// # Errors
    ///
    /// If too many wait already.
    pub(super) fn append(&mut self, event: &Event) -> io::Result<()> {
        if self.waiting.len() >= MOST_WAITING {
            self.sync()?;
        }
        self.waiting.push(row(event, &self.node));
        Ok(())
    }

    /// Writes what waits.
    ///
    /// # Errors
    ///
    /// If the database does not answer; it waits on then.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if !self.waiting.is_empty() {
            self.rows.add(&self.waiting).map_err(away)?;
            self.waiting.clear();
        }
        Ok(())
    }

    pub(super) fn waiting(&self) -> u64 {
        u64::try_from(self.waiting.len()).unwrap_or(u64::MAX)
    }

    pub(super) fn drop_before(&self, oldest: Duration) -> io::Result<()> {
        self.rows.drop_before(milliseconds(oldest)).map_err(away)
    }
}

/// The event as a row, with the node that saw it.
pub(super) fn row(event: &Event, node: &str) -> EventRow {
    let (at, account) = (milliseconds(event.time()), event.id().map(str::to_owned));
    let mut line = event.clone().on(node).line();
    // Rows need no end of a line.
    line.pop();
    EventRow::new(at, account, String::from_utf8(line).unwrap_or_default())
}

pub(super) fn away(_: Unavailable) -> io::Error {
    io::Error::other("the database does not answer")
}

fn milliseconds(moment: Duration) -> i64 {
    i64::try_from(moment.as_millis()).unwrap_or(i64::MAX)
}

/// Reads all lines in the order of their places, and those that come later.
pub(super) struct Reader {
    rows: EventRows,
    /// The highest place that was shown.
    last: i64,
    /// Lower places that were not there, and since when.
    missed: BTreeMap<i64, Instant>,
}

impl Reader {
    pub(super) fn new(rows: EventRows) -> Self {
        Self {
            rows,
            last: 0,
            missed: BTreeMap::new(),
        }
    }

    /// Shows each line that was not shown before.
    ///
    /// # Errors
    ///
    /// If the database does not answer, or those of `see`.
    pub(super) fn read(&mut self, see: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        loop {
            let missed: Vec<i64> = self.missed.keys().copied().collect();
            let rows = self.rows.next(self.last, &missed, AT_ONCE).map_err(away)?;
            let is_all = !rows.iter().any(|(place, _)| *place > self.last);
            for (place, line) in rows {
                self.pass(place, Instant::now());
                see(line.as_bytes())?;
            }
            if is_all {
                self.missed.retain(|_, since| since.elapsed() < MISSED);
                return Ok(());
            }
        }
    }

    /// Notes that this place is shown, and which ones before it are not there yet.
    fn pass(&mut self, place: i64, now: Instant) {
        self.missed.remove(&place);
        if place <= self.last {
            return;
        }
        let most = i64::try_from(MOST_MISSED).unwrap_or(i64::MAX);
        let from = (self.last + 1).max(place.saturating_sub(most));
        self.missed
            .extend((from..place).map(|missed| (missed, now)));
        while self.missed.len() > MOST_MISSED {
            self.missed.pop_first();
        }
        self.last = place;
    }
}

#[cfg(feature = "databases")]
#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::accounts::ids::AccountId;
    use crate::clock::{self, Clock};
    use crate::events::{self, Events, Kind, Reader, Seen};
    use crate::store::postgres::tests::Place;

    const LONG: Duration = Duration::from_secs(20);
    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn event(user: &str) -> Event {
        Event::of(Kind::LoggedIn).named(user, Some(&"a".repeat(26)))
    }

    fn id() -> AccountId {
        serde_json::from_value("a".repeat(26).into()).unwrap()
    }

    fn node(place: &Place, name: &str) -> Events {
        let clock = Arc::new(Clock::start());
        Events::in_database(place.events(), name.to_owned(), DAY, clock).unwrap()
    }

    /// The users of the lines that were not shown before.
    fn shown(reader: &mut Reader) -> Vec<String> {
        let mut users = Vec::new();
        let read = reader.read(|line| {
            users.extend(Seen::parse(line).and_then(|seen| seen.user));
            Ok(())
        });
        read.unwrap();
        users
    }

    fn insert(place: &Place, number: i64, user: &str) {
        let line = format!("{{\"time\":\"\",\"event\":\"logged_in\",\"user\":\"{user}\"}}");
        place.sql(&format!(
            "INSERT INTO event (id, place, at, line)
            VALUES (decode('{number:032x}', 'hex'), {number}, 0, '{line}')"
        ));
    }

    #[test]
    fn what_two_nodes_note_is_in_one_table_and_says_where_it_was() {
        let place = Place::new();
        let nodes = [node(&place, "one:8080"), node(&place, "two:8443")];
        let mut reader = Reader::in_database(place.events());
        assert!(shown(&mut reader).is_empty());

        for (n, node) in nodes.iter().enumerate() {
            node.note(event(&format!("user{n}")));
            node.note(event(&format!("again{n}")));
            node.count("throttled");
            assert!(node.close(LONG));
        }

        assert_eq!(shown(&mut reader), ["user0", "again0", "user1", "again1"]);
        assert!(shown(&mut reader).is_empty());
        let of_nodes = "SELECT line::json->>'node', count(*) FROM event GROUP BY 1 ORDER BY 1";
        assert_eq!(place.sql(of_nodes), "one:8080|3\ntwo:8443|3");
        let recent = nodes[0].recent(&id()).into_iter();
        let recent: Vec<_> = recent.filter_map(|seen| seen.user).collect();
        assert_eq!(recent, ["again1", "user1", "again0", "user0"]);
    }

    #[test]
    fn what_is_written_while_the_reader_looks_is_shown_within_a_moment() {
        let place = Place::new();
        let node = node(&place, "one:8080");
        let mut reader = Reader::in_database(place.events());
        let begun = Instant::now();

        node.note(event("alice"));

        while shown(&mut reader).is_empty() {
            assert!(begun.elapsed() < LONG, "it never came");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn an_event_that_is_seen_after_later_ones_is_shown_once_all_the_same() {
        let place = Place::new();
        let mut reader = Reader::in_database(place.events());
        insert(&place, 5, "five");
        insert(&place, 8, "eight");
        assert_eq!(shown(&mut reader), ["five", "eight"]);

        insert(&place, 6, "six");
        insert(&place, 4, "four");
        insert(&place, 9, "nine");

        assert_eq!(shown(&mut reader), ["four", "six", "nine"]);
        assert!(shown(&mut reader).is_empty());
    }

    #[test]
    fn a_long_table_is_read_to_its_end() {
        let place = Place::new();
        place.sql(
            "INSERT INTO event (id, at, line) SELECT decode(lpad(n::text, 32, '0'), 'hex'), 0,
            '{\"time\":\"\",\"event\":\"x\",\"user\":\"' || n || '\"}' FROM generate_series(1, 2500) n",
        );

        let shown = shown(&mut Reader::in_database(place.events()));

        let all: Vec<String> = (1..=2500).map(|n| n.to_string()).collect();
        assert_eq!(shown, all);
    }

    #[test]
    fn what_cannot_be_written_waits_and_is_written_once() {
        let place = Place::new();
        let node = node(&place, "one:8080");
        place.sql("ALTER TABLE event RENAME TO away");
        node.note(event("alice"));
        std::thread::sleep(Duration::from_secs(2));
        place.sql("ALTER TABLE away RENAME TO event");
        node.note(event("bob"));

        assert!(node.close(LONG));

        let mut reader = Reader::in_database(place.events());
        assert_eq!(shown(&mut reader), ["alice", "bob"]);
    }

    #[test]
    fn rows_that_are_written_twice_are_there_once() {
        let place = Place::new();
        let rows = place.events();
        let new = [row(&event("alice"), "one"), row(&event("bob"), "one")];

        rows.add(&new).ok().unwrap();
        rows.add(&new).ok().unwrap();

        assert_eq!(place.sql("SELECT count(*) FROM event"), "2");
    }

    #[test]
    fn a_command_adds_its_events_and_what_is_too_old_goes_at_a_start() {
        let place = Place::new();
        let rows = place.events();
        let old = clock::since_epoch() - DAY - Duration::from_secs(60);
        insert(&place, 1000, "old");
        place.sql(&format!("UPDATE event SET at = {}", old.as_millis()));

        let appended = [event("alice"), event("bob")];
        events::append_in_database(&rows, "one", DAY, &appended).unwrap();
        events::append_in_database(&rows, "one", Duration::ZERO, &appended).unwrap();
        assert!(node(&place, "two:1").close(LONG));

        let mut reader = Reader::in_database(rows);
        assert_eq!(shown(&mut reader), ["alice", "bob"]);
    }
}
