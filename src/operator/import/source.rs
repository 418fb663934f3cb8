//! The file itself: read whole, within bounds, as text.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Most bytes of a file.
const MOST: u64 = 64 << 20;

/// The text of a file, or of standard input for `-`, with line feeds alone.
///
/// # Errors
///
/// What is wrong, and what to do.
pub(super) fn read(file: &Path) -> Result<String, (String, &'static str)> {
    let read = match file.as_os_str() == "-" {
        true => read_from(io::stdin().lock()),
        false => File::open(file).and_then(read_from),
    };
    let bytes = read.map_err(|error| {
        let what = format!("cannot read {}: {error}", file.display());
        (what, "name the file to import, or - for standard input")
    })?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MOST) {
        let what = format!("cannot import {}: it is over 64 MiB", file.display());
        return Err((what, "import it in parts"));
    }
    let text = String::from_utf8(bytes).map_err(|_| {
        let what = format!("cannot import {}: it is not UTF-8", file.display());
        (what, "save it as UTF-8 and try again")
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    Ok(text.replace("\r\n", "\n"))
}

fn read_from(file: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(MOST + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
