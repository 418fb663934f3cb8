//! The order in which the program asks the disk for what it promises, and then promises it.

use crate::files::failing_disk::operations::ALL;
use crate::files::failing_disk::tracer::Tracer;
use crate::files::failing_disk::world::Cast;

/// A recorded system call, and the lines of the trace on which it began and ended.
struct Call<'a> {
    line: &'a str,
    begin: usize,
    end: usize,
}

fn calls(trace: &str) -> Vec<Call<'_>> {
    let lines: Vec<&str> = trace.lines().collect();
    let thread = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
    let resumed = |line: &str, after: usize| {
        let later = |n: &usize| lines[*n].contains("<... ") && thread(lines[*n]) == thread(line);
        // A killed process resumes nothing.
        (after + 1..lines.len()).find(later).unwrap_or(lines.len())
    };
    let recorded = lines.iter().enumerate();
    recorded
        .filter(|(_, line)| !line.contains("<... "))
        .map(|(begin, line)| {
            let end = match line.ends_with("<unfinished ...>") {
                true => resumed(line, begin),
                false => begin,
            };
            Call { line, begin, end }
        })
        .collect()
}

/// The first call of this kind on this that begins no earlier.
fn find<'a>(calls: &'a [Call<'a>], from: usize, name: &str, on: &str) -> Option<&'a Call<'a>> {
    calls.iter().filter(|call| call.begin >= from).find(|call| {
        let called = call.line.split_whitespace().nth(1).unwrap_or_default();
        called.starts_with(name) && call.line.contains(on)
    })
}

#[test]
fn every_change_is_written_synced_renamed_and_synced_before_it_is_answered() {
    for operation in ALL {
        let mut cast = Cast::new();
        (operation.prepare)(&mut cast);
        assert_eq!(
            (operation.look)(&cast),
            operation.before,
            "{}",
            operation.name
        );
        let dir = cast.setup.dir().canonicalize().unwrap();
        let dir = dir.to_str().unwrap();
        let tracer = Tracer::record_all(&cast.server, "openat,write,fsync,sendto,/^rename");

        let answered = (operation.act)(&cast);

        let trace = tracer.detach();
        assert_eq!(answered.as_deref(), Some(operation.done));
        let calls = calls(&trace);
        let name = operation.name;
        assert_eq!((operation.look)(&cast), operation.after, "{name}");
        let mut done = 0;
        for file in operation.saves {
            let draft = format!("{dir}/{file}.new");
            for (call, on) in [
                ("openat", format!("<{dir}>, \"{file}.new\"")),
                ("write", format!("<{draft}>, \"{{\\n")),
                ("fsync", format!("<{draft}>")),
                ("renameat", format!("<{dir}>, \"{file}\"")),
                ("fsync", format!("<{dir}>")),
            ] {
                let found = find(&calls, done, call, &on);
                let found =
                    found.unwrap_or_else(|| panic!("{name}: no {call} of {on} in\n{trace}"));
                done = found.end;
            }
        }
        let kept = match name {
            // Answered at once, whatever comes of it; here it is the mail that comes last.
            "ask for a new password" => find(&calls, 0, "renameat", ".eml\""),
            _ => find(&calls, 0, "", ", \"HTTP/1.1 "),
        };
        let kept = kept.unwrap_or_else(|| panic!("{name}: no answer in\n{trace}"));
        assert!(kept.begin > done, "{name}: answered too early\n{trace}");
        let renames = calls
            .iter()
            .filter(|call| call.begin < kept.begin && call.line.contains(" renameat("))
            .filter(|call| call.line.contains(".json.new\""))
            .count();
        // The link that a registration mails is saved beside the answer, which does not wait for it.
        let beside = usize::from(name == "register");
        let most = operation.saves.len() + beside;
        assert!(
            (operation.saves.len()..=most).contains(&renames),
            "{name}: {renames} files are saved\n{trace}"
        );
    }
}
