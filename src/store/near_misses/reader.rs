//! Goes through the text of a users file to find the places of its slips.

use crate::accounts::kept::Created;
use crate::store::near_misses::Shape::{self, Fields, Names, Other};
use crate::store::near_misses::{FILE, distance, is_near};

/// Deepest nesting that is followed; the limit of serde_json.
const MAX_DEPTH: usize = 128;

/// The byte at which the name of a field stands, the name, and the field that may be meant; `None`
/// if it is the value that cannot be read.
type Found = (usize, String, Option<&'static str>);

/// The slips in a text, as far as it is JSON, in their order.
pub(super) fn slips(text: &[u8]) -> Vec<Found> {
    let mut reader = Reader {
        text,
        at: 0,
        depth: 0,
        slips: Vec::new(),
    };
    // If it is not JSON, the reader of accounts has said so.
    let _ = reader.value(Fields(FILE));
    reader.slips.sort_by_key(|(at, ..)| *at);
    reader.slips
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
    slips: Vec<Found>,
}

impl Reader<'_> {
    /// Passes over a value; `None` if the text is not JSON, or is nested too deeply.
    fn value(&mut self, shape: Shape) -> Option<()> {
        self.blanks();
        match self.text.get(self.at)? {
            b'{' => self.nested(shape, Self::object),
            b'[' => self.nested(shape, Self::list),
            b'"' => self.string().map(|_| ()),
            _ => {
                let ends = |byte: &u8| byte.is_ascii_whitespace() || b",]}".contains(byte);
                let rest = self.text.get(self.at..)?;
                self.at += rest.iter().position(ends).unwrap_or(rest.len());
                Some(())
            }
        }
    }

    fn nested(&mut self, shape: Shape, pass: fn(&mut Self, Shape) -> Option<()>) -> Option<()> {
        if self.depth >= MAX_DEPTH {
            return None;
        }
        self.depth += 1;
        self.at += 1;
        pass(self, shape)?;
        self.depth -= 1;
        Some(())
    }

    fn list(&mut self, shape: Shape) -> Option<()> {
        loop {
            self.blanks();
            match self.text.get(self.at)? {
                b']' => break,
                b',' => self.at += 1,
                // Each object in the list has that shape.
                _ => self.value(shape)?,
            }
        }
        self.at += 1;
        Some(())
    }

    fn object(&mut self, shape: Shape) -> Option<()> {
        let mut names = Vec::new();
        loop {
            self.blanks();
            match self.text.get(self.at)? {
                b'}' => break,
                b',' => self.at += 1,
                b'"' => {
                    let at = self.at;
                    let name = self.name()?;
                    self.member(shape, at, &name)?;
                    names.push((at, name));
                }
                _ => return None,
            }
        }
        self.at += 1;
        if let Fields(known) = shape {
            self.compare(names, known);
        }
        Some(())
    }

    /// Passes over the value that belongs to a name.
    fn member(&mut self, shape: Shape, at: usize, name: &str) -> Option<()> {
        self.blanks();
        self.text.get(self.at).filter(|byte| **byte == b':')?;
        self.at += 1;
        self.blanks();
        let begin = self.at;
        let inner = match shape {
            Names(fields) => Fields(fields),
            Fields(known) => known
                .iter()
                .find(|(field, _)| *field == name)
                .map_or(Other, |(_, shape)| *shape),
            _ => Other,
        };
        self.value(inner)?;
        if let Shape::Created = inner {
            let value = serde_json::from_slice::<Created>(self.text.get(begin..self.at)?);
            if value.is_ok_and(|created| created.is_unreadable()) {
                self.slips.push((at, name.to_owned(), None));
            }
        }
        Some(())
    }

    /// Notes which of an object's names may be meant for one that is not there.
    fn compare(&mut self, names: Vec<(usize, String)>, known: &'static [(&'static str, Shape)]) {
        let is_there = |field: &str| names.iter().any(|(_, name)| name == field);
        let absent: Vec<&'static str> = known
            .iter()
            .map(|(field, _)| *field)
            .filter(|field| !is_there(field))
            .collect();
        let mut slips = Vec::new();
        for (at, name) in names {
            if known.iter().any(|(field, _)| *field == name) {
                continue;
            }
            let near = absent.iter().filter(|field| is_near(&name, field));
            if let Some(meant) = near.min_by_key(|field| distance(&name.to_lowercase(), field)) {
                slips.push((at, name, Some(*meant)));
            }
        }
        self.slips.append(&mut slips);
    }

    fn name(&mut self) -> Option<String> {
        let begin = self.at;
        self.string()?;
        serde_json::from_slice(self.text.get(begin..self.at)?).ok()
    }

    /// Passes over a string.
    fn string(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            match self.text.get(self.at)? {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        Some(())
    }

    fn blanks(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }
}
