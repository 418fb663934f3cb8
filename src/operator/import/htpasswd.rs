//! The password files of Apache and nginx: `NAME:HASH`, a line each.

use super::{Bad, Entry, Found};

pub(super) fn read(text: &str) -> Found {
    let lines = text.lines().zip(1..);
    let lines = lines.filter(|(line, _)| !line.trim().is_empty() && !line.starts_with('#'));
    let entry = |(line, number): (&str, u64)| match line.trim_end().split_once(':') {
        Some((username, hash)) => Ok(Entry {
            line: number,
            username: username.to_owned(),
            hash: Some(hash.to_owned()),
            ..Entry::default()
        }),
        None => Err(Bad::new(number, line.trim(), "it is not NAME:HASH")),
    };
    lines.map(entry).collect()
}
