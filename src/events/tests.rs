//! The file as several writers and readers see it.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::time::Instant;

use tempfile::TempDir;

use super::*;
use crate::clock;
use crate::events::lines::LONGEST;
use crate::events::reader::newest_of;

const LONG: Duration = Duration::from_secs(20);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let users = directory.path().join("users.json");
    (directory, users)
}

fn event(id: &str) -> Event {
    Event::of(Kind::LoggedIn).named("alice", Some(id))
}

fn clock() -> Arc<Clock> {
    Arc::new(Clock::start())
}

fn text(users: &Path) -> String {
    fs::read_to_string(beside(users)).unwrap_or_default()
}

/// The ids of all whole lines, in their order.
fn ids(users: &Path) -> Vec<String> {
    let text = text(users);
    let seen = text.lines().filter_map(|line| Seen::parse(line.as_bytes()));
    seen.filter_map(|seen| seen.id).collect()
}

fn wait_for(what: &str, mut is: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < LONG, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A line of that age.
fn aged(id: &str, age: Duration) -> String {
    let time = written(clock::since_epoch() - age);
    let line = String::from_utf8(event(id).line()).unwrap();
    let rest = line.split_once("\",").unwrap().1;
    format!("{{\"time\":\"{time}\",{rest}")
}

fn all(reader: &mut Reader) -> Vec<String> {
    let mut seen = Vec::new();
    reader
        .read(|line| {
            seen.extend(Seen::parse(line).and_then(|seen| seen.id));
            Ok(())
        })
        .unwrap();
    seen
}

#[test]
fn what_is_noted_is_a_line_and_the_end_waits_for_it() {
    let (_directory, users) = place();
    let events = Events::open(&users, DAY, clock()).unwrap();
    events.note(event("a"));
    events.count("throttled");

    assert!(events.close(LONG));

    let text = text(&users);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines[0].starts_with("{\"time\":\"2"), "{text}");
    assert!(lines[1].contains("\"event\":\"refused\",\"user\":null"));
    assert!(lines[1].ends_with("\"result\":\"throttled\",\"count\":1}"));
}

#[test]
fn nothing_is_written_where_none_are_kept() {
    let (directory, users) = place();
    let events = Events::open(&users, Duration::ZERO, clock()).unwrap();
    events.note(event("a"));
    events.count("throttled");
    append(&users, Duration::ZERO, &[event("a")]).unwrap();

    assert!(events.close(LONG));

    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn a_line_that_was_cut_off_is_ended_and_passed_over() {
    let (_directory, users) = place();
    fs::write(beside(&users), aged("a", Duration::ZERO) + "{\"time\":\"20").unwrap();
    let mut reader = Reader::new(beside(&users));
    assert_eq!(all(&mut reader), ["a"]);
    let newest = newest_of(&beside(&users), "a", 20).unwrap();
    assert_eq!(newest.len(), 1);

    append(&users, DAY, &[event("b")]).unwrap();

    assert_eq!(ids(&users), ["a", "b"]);
    assert_eq!(text(&users).lines().count(), 3);
    assert_eq!(all(&mut reader), ["b"]);
}

#[test]
fn a_file_that_was_moved_away_is_made_anew() {
    let (directory, users) = place();
    let events = Events::open(&users, DAY, clock()).unwrap();
    events.note(event("a"));
    wait_for("the line", || ids(&users) == ["a"]);
    fs::rename(beside(&users), directory.path().join("events.1")).unwrap();

    events.note(event("b"));

    wait_for("the other line", || ids(&users) == ["b"]);
    let mode = fs::metadata(beside(&users)).unwrap();
    use std::os::unix::fs::MetadataExt as _;
    assert_eq!(mode.mode() & 0o777, 0o600);
}

#[test]
fn neither_a_link_nor_a_pipe_is_written_to_or_read() {
    let (directory, users) = place();
    let precious = directory.path().join("precious");
    fs::write(&precious, "").unwrap();
    symlink(&precious, beside(&users)).unwrap();

    assert!(append(&users, DAY, &[event("a")]).is_err());
    assert!(newest_of(&beside(&users), "a", 20).is_err());
    assert!(Reader::new(beside(&users)).read(|_| Ok(())).is_err());

    assert_eq!(fs::read(&precious).unwrap(), b"");
    fs::remove_file(beside(&users)).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        beside(&users),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    assert!(append(&users, DAY, &[event("a")]).is_err());
    assert!(newest_of(&beside(&users), "a", 20).is_err());
}

#[test]
fn a_writer_goes_on_once_the_file_can_be_written_again() {
    let (_directory, users) = place();
    fs::create_dir(beside(&users)).unwrap();
    let events = Events::open(&users, DAY, clock()).unwrap();
    events.note(event("lost"));
    wait_for("the failure", || {
        events.shared.lost.load(Ordering::Relaxed) == 1
    });
    fs::remove_dir(beside(&users)).unwrap();

    events.note(event("b"));

    wait_for("the line", || ids(&users) == ["b"]);
    assert_eq!(events.shared.lost.load(Ordering::Relaxed), 0);
}

#[test]
fn whoever_waits_for_the_lock_holds_up_nobody_who_notes() {
    let (_directory, users) = place();
    append(&users, DAY, &[event("a")]).unwrap();
    let held = File::open(beside(&users)).unwrap();
    held.lock().unwrap();
    let events = Events::open(&users, DAY, clock()).unwrap();

    let begun = Instant::now();
    for _ in 0..2 * MOST_WAITING {
        events.note(event("b"));
    }
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert!(events.shared.lost.load(Ordering::Relaxed) > 0);

    held.unlock().unwrap();
    assert!(events.close(LONG));
    assert!(ids(&users).len() > 10);
}

#[test]
fn what_is_too_old_goes_at_the_start_and_the_rest_stays_to_the_letter() {
    let (_directory, users) = place();
    let young =
        aged("c", DAY / 2) + "{\"time\":\"9999-01-01T00:00:00.000Z\",\"event\":\"later\"}\n";
    let old = aged("a", 3 * DAY) + &aged("b", 2 * DAY) + "damaged\n";
    fs::write(beside(&users), old + &young + "{\"cut off").unwrap();

    let events = Events::open(&users, DAY, clock()).unwrap();
    events.note(event("d"));
    assert!(events.close(LONG));

    assert!(text(&users).starts_with(&young), "{}", text(&users));
    assert_eq!(ids(&users), ["c", "d"]);
}

#[test]
fn a_file_without_old_lines_is_left_alone() {
    use std::os::unix::fs::MetadataExt as _;
    let (_directory, users) = place();
    fs::write(beside(&users), aged("a", DAY / 2)).unwrap();
    let before = fs::metadata(beside(&users)).unwrap().ino();

    let events = Events::open(&users, DAY, clock()).unwrap();
    assert!(events.close(LONG));

    assert_eq!(fs::metadata(beside(&users)).unwrap().ino(), before);
}

#[test]
fn many_writers_and_one_who_replaces_the_file_lose_no_line() {
    let (_directory, users) = place();
    fs::write(beside(&users), aged("old", 2 * DAY)).unwrap();
    thread::scope(|scope| {
        for writer in 0..4 {
            let users = &users;
            scope.spawn(move || {
                for n in 0..100 {
                    append(users, DAY, &[event(&format!("{writer}-{n}"))]).unwrap();
                }
            });
        }
        for _ in 0..20 {
            // Something to drop, so that the file is replaced.
            let mut file = fs::OpenOptions::new()
                .append(true)
                .open(beside(&users))
                .unwrap();
            file.lock().unwrap();
            file.write_all(aged("old", 2 * DAY).as_bytes()).unwrap();
            drop(file);
            keeper::drop_before(&beside(&users), clock::since_epoch() - DAY).unwrap();
        }
    });

    let mut kept: Vec<String> = ids(&users);
    kept.retain(|id| id != "old");
    kept.sort();
    kept.dedup();
    assert_eq!(kept.len(), 400);
}

#[test]
fn a_reader_that_follows_shows_each_line_once_whatever_replaces_the_file() {
    let (directory, users) = place();
    let mut reader = Reader::new(beside(&users));
    assert!(all(&mut reader).is_empty());
    fs::write(beside(&users), aged("a", 2 * DAY) + &aged("b", DAY / 2)).unwrap();
    assert_eq!(all(&mut reader), ["a", "b"]);

    // Old lines go, and others come before and after.
    append(&users, DAY, &[event("c")]).unwrap();
    keeper::drop_before(&beside(&users), clock::since_epoch() - DAY).unwrap();
    append(&users, DAY, &[event("d")]).unwrap();
    assert_eq!(all(&mut reader), ["c", "d"]);

    // Rotated away.
    append(&users, DAY, &[event("e")]).unwrap();
    fs::rename(beside(&users), directory.path().join("events.1")).unwrap();
    append(&users, DAY, &[event("f")]).unwrap();
    assert_eq!(all(&mut reader), ["e", "f"]);

    // Emptied in place.
    fs::write(beside(&users), "").unwrap();
    assert!(all(&mut reader).is_empty());
    append(&users, DAY, &[event("g")]).unwrap();
    assert_eq!(all(&mut reader), ["g"]);
}

#[test]
fn the_newest_of_one_are_found_across_any_cut() {
    let (_directory, users) = place();
    let mut text = String::new();
    for n in 0..3000 {
        let id = if n % 100 == 0 { "one" } else { "others" };
        text += &aged(id, Duration::from_secs(3000 - n));
    }
    fs::write(beside(&users), &text).unwrap();

    let newest = newest_of(&beside(&users), "one", 20).unwrap();
    assert_eq!(newest.len(), 20);
    assert!(newest.is_sorted_by(|a, b| a.time >= b.time));
    assert_eq!(newest_of(&beside(&users), "one", 99).unwrap().len(), 30);
    assert!(newest_of(&beside(&users), "nobody", 20).unwrap().is_empty());
}

#[test]
fn a_line_that_is_none_of_ours_is_passed_over_however_long_it_is() {
    let (_directory, users) = place();
    for long in [1, LONGEST, LONGEST + 1, 3 * LONGEST + 77] {
        let [early, late] = [2, 1].map(|days| aged("one", days * DAY));
        let long = "x".repeat(long);
        fs::write(beside(&users), format!("{early}{long}\n{late}{long}")).unwrap();

        assert_eq!(newest_of(&beside(&users), "one", 20).unwrap().len(), 2);
        let mut reader = Reader::new(beside(&users));
        let shown = all(&mut reader);
        assert_eq!(shown.iter().filter(|id| *id == "one").count(), 2);
        fs::write(beside(&users), format!("{long}\n{early}{long}\n{late}")).unwrap();
        keeper::drop_before(&beside(&users), clock::since_epoch() - DAY * 3 / 2).unwrap();
        assert_eq!(text(&users), late);
    }
}

#[test]
fn only_so_much_of_the_end_is_looked_through() {
    let (_directory, users) = place();
    let line = aged("a", DAY);
    let mut text = aged("early", DAY);
    while text.len() <= 16 << 20 {
        text += &line;
    }
    fs::write(beside(&users), &text).unwrap();

    assert!(newest_of(&beside(&users), "early", 20).unwrap().is_empty());
    assert_eq!(newest_of(&beside(&users), "a", 20).unwrap().len(), 20);
}
