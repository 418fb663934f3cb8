//! Every call that any change makes on the disk: failing in two ways, and killed on the way in.

use crate::faults::matrix::try_all;
use crate::faults::operations::ALL;
use crate::faults::tracer::Fault;

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
