//! Events of several nodes.

use super::Place;
use crate::store::postgres::event_rows::EventRow;

#[test]
fn the_newest_are_those_that_happened_last_whoever_was_late_to_write() {
    let events = Place::new().events();
    let event = |at: i64| EventRow::new(at, Some("somebody".to_owned()), at.to_string());
    for at in [2, 4, 3, 1] {
        events.add(&[event(at)]).ok().unwrap();
    }

    let newest = events.newest_of("somebody", 20).ok().unwrap();

    assert_eq!(newest, ["4", "3", "2", "1"]);
}
