//! Every call that any change makes on the disk: failing in two ways, and killed on the way in.

use crate::files::failing_disk::matrix::try_one;
use crate::files::failing_disk::operations::{ALL, Operation};
use crate::files::failing_disk::tracer::{Fault, Injection, Thread, Tracer, kinds};
use crate::files::failing_disk::world::Cast;

const THREADS: [Thread; 2] = [Thread::Store, Thread::Errands];

/// One fault after the other, at the first call of a kind, the second, and so on until there is
/// none left to be hit; how many there were.
fn try_all(operation: &Operation, fault: Fault) -> usize {
    let mut hits = 0;
    for thread in THREADS {
        for call in calls_of(operation, thread) {
            let injection = |nth| Injection {
                call: call.clone(),
                nth,
                fault,
            };
            hits += (1..)
                .take_while(|nth| try_one(operation, thread, &injection(*nth)))
                .count();
        }
    }
    hits
}

/// The kinds of calls a thread makes on the disk for an operation that nothing disturbs.
fn calls_of(operation: &Operation, thread: Thread) -> Vec<String> {
    let mut cast = Cast::new();
    (operation.prepare)(&mut cast);
    let tracer = Tracer::record(&cast.server, thread);
    let answered = (operation.act)(&cast);
    let trace = tracer.detach();
    assert_eq!(answered.as_deref(), Some(operation.done));
    assert_eq!(
        (operation.look)(&cast),
        operation.after,
        "{}",
        operation.name
    );
    kinds(&trace).into_keys().collect()
}

fn everywhere(fault: Fault) {
    for operation in ALL {
        let hits = try_all(operation, fault);

        println!("{}: {hits} calls, {fault:?}", operation.name);
        // Less than a save makes: something is looked for in the wrong place.
        assert!(hits >= 10, "{}: {hits}", operation.name);
    }
}

#[test]
fn an_input_output_error_at_any_call_leaves_a_change_whole_or_undone() {
    everywhere(Fault::Error("EIO"));
}

#[test]
fn a_full_disk_at_any_call_leaves_a_change_whole_or_undone() {
    everywhere(Fault::Error("ENOSPC"));
}

#[test]
fn a_kill_at_any_call_leaves_a_change_whole_or_undone() {
    everywhere(Fault::Kill);
}
