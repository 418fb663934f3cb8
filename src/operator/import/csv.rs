//! Tables (RFC 4180) with a heading, as spreadsheets save them.

use ::csv::{ReaderBuilder, StringRecord};

use super::{Bad, Entry, Found, NotOfFormat};

/// The columns, in the order of [`Columns`].
const COLUMNS: [&str; 5] = ["username", "email", "groups", "password_hash", "disabled"];

/// Where each column stands; the first two always do.
type Columns = [Option<usize>; 5];

pub(super) fn read(text: &str) -> Result<Found, NotOfFormat> {
    let delimiter = delimiter(text);
    let mut reader = ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let mut record = StringRecord::new();
    let mut columns: Option<(Columns, usize)> = None;
    let mut lines = Lines::default();
    let mut found = Vec::new();
    loop {
        let begins = usize::try_from(reader.position().byte()).unwrap_or(usize::MAX);
        // Text that is UTF-8 already is read without fail.
        let is_more = reader
            .read_record(&mut record)
            .map_err(|error| NotOfFormat::new(format!("it is not a table: {error}"), HINT))?;
        if !is_more {
            break;
        }
        let line = lines.at(text, begins);
        let ends = usize::try_from(reader.position().byte()).unwrap_or(usize::MAX);
        // Spreadsheets end a table with rows of separators alone.
        if record.iter().all(|cell| cell.trim().is_empty()) {
            continue;
        }
        let odd = odd(text.get(begins..ends).unwrap_or_default(), delimiter);
        match (columns, odd) {
            (None, Some(why)) => return Err(NotOfFormat::new(format!("line {line}: {why}"), HINT)),
            (None, None) => columns = Some((heading(&record)?, record.len())),
            (Some((columns, _)), Some(why)) => {
                let username = columns[0].and_then(|at| record.get(at));
                found.push(Err(Bad::new(line, username.unwrap_or_default(), why)));
            }
            (Some((columns, count)), None) => found.push(entry(line, &record, columns, count)),
        }
    }
    match columns {
        Some(_) => Ok(found),
        None => Err(NotOfFormat::new("it is empty", HINT)),
    }
}

/// What the reader lets pass in a record and no spreadsheet writes: it has guessed what is meant.
fn odd(raw: &str, delimiter: u8) -> Option<&'static str> {
    if raw.contains('\r') {
        return Some("it has a carriage return that ends no line");
    }
    let mut is_quoted = false;
    let mut before = delimiter;
    let mut letters = raw.trim_matches('\n').bytes().peekable();
    while let Some(letter) = letters.next() {
        if is_quoted && letter == b'"' {
            match letters.peek() {
                Some(b'"') => drop(letters.next()),
                Some(after) if *after != delimiter && *after != b'\n' => {
                    return Some("it has text after a closing quote");
                }
                _ => is_quoted = false,
            }
        } else if !is_quoted {
            is_quoted = letter == b'"' && (before == delimiter || before == b'\n');
        }
        before = letter;
    }
    None
}

const HINT: &str = "the first line names the columns: username, email, and as you like groups, \
                    password_hash and disabled";

/// Whichever of the three the first line has most of.
fn delimiter(text: &str) -> u8 {
    let first = text.lines().find(|line| !line.is_empty()).unwrap_or("");
    let count = |delimiter: u8| first.bytes().filter(|byte| *byte == delimiter).count();
    let mut best = b',';
    for other in [b';', b'\t'] {
        if count(other) > count(best) {
            best = other;
        }
    }
    best
}

/// Counts lines on and on, since records come in their order.
#[derive(Default)]
struct Lines {
    at: usize,
    before: u64,
}

impl Lines {
    /// The line of the record that was read from this place on; empty lines before it were skipped.
    fn at(&mut self, text: &str, begins: usize) -> u64 {
        let rest = text.get(begins..).unwrap_or_default();
        let begins = begins + (rest.len() - rest.trim_start_matches(['\n', '\r']).len());
        let between = text.get(self.at..begins).unwrap_or_default();
        self.before += between
            .bytes()
            .map(|byte| u64::from(byte == b'\n'))
            .sum::<u64>();
        self.at = begins;
        self.before + 1
    }
}

fn heading(record: &StringRecord) -> Result<Columns, NotOfFormat> {
    let mut columns: Columns = [None; 5];
    for (at, written) in record.iter().enumerate() {
        let name: String = written.chars().filter(|c| !c.is_whitespace()).collect();
        let name = name.to_lowercase();
        let Some(known) = COLUMNS.iter().position(|column| *column == name) else {
            let hint = match name == "password" {
                true => {
                    "passwords in clear are not taken: name a column of hashes password_hash, and \
                     send invitations to those whose hash you do not have"
                }
                false => HINT,
            };
            return Err(NotOfFormat::new(
                format!("it has a column {written:?}"),
                hint,
            ));
        };
        if columns[known].replace(at).is_some() {
            let what = format!("it has two columns {:?}", COLUMNS[known]);
            return Err(NotOfFormat::new(what, HINT));
        }
    }
    for (column, name) in columns.iter().zip(COLUMNS).take(2) {
        if column.is_none() {
            return Err(NotOfFormat::new(format!("it has no column {name:?}"), HINT));
        }
    }
    Ok(columns)
}

fn entry(line: u64, record: &StringRecord, columns: Columns, count: usize) -> Result<Entry, Bad> {
    let [username, email, groups, hash, disabled] =
        columns.map(|column| column.and_then(|at| record.get(at)).unwrap_or("").trim());
    let bad = |why: String| Err(Bad::new(line, username, why));
    if record.len() != count {
        return bad(format!(
            "it has {} columns instead of {count}",
            record.len()
        ));
    }
    let disabled = match disabled.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" => true,
        "false" | "0" | "no" | "" => false,
        _ => {
            return bad(format!(
                "disabled is {disabled:?}, which is neither yes nor no"
            ));
        }
    };
    let between = |c: char| c == ',' || c == ';' || c.is_whitespace();
    let groups = groups.split(between).filter(|group| !group.is_empty());
    Ok(Entry {
        line,
        username: username.to_owned(),
        email: Some(email.to_owned()),
        is_vouched_for: true,
        groups: groups.map(str::to_owned).collect(),
        hash: Some(hash.to_owned()),
        disabled,
        created: None,
    })
}
