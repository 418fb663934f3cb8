//! YAML as a tree with lines, in bounds: no aliases, which could make much of little, and no depth
//! that a users file does not have.

use saphyr_parser::{Event, Parser, ScalarStyle};

/// Deepest nesting.
const DEEPEST: usize = 32;

/// A value, and the line in which it begins.
pub(super) struct Node {
    pub(super) line: u64,
    pub(super) what: What,
}

pub(super) enum What {
    /// Nothing, or `null`.
    Nothing,
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// The text, if it is one.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.what {
            What::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The entries, if it is a map.
    pub(super) fn map(&self) -> Option<&[(Node, Node)]> {
        match &self.what {
            What::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// Whether nothing stands there.
    pub(super) fn is_nothing(&self) -> bool {
        matches!(self.what, What::Nothing)
    }
}

/// A list or a map that has not ended yet.
struct Open {
    line: u64,
    is_map: bool,
    inside: Vec<Node>,
}

impl Open {
    fn close(self) -> Node {
        let what = if self.is_map {
            let mut entries = Vec::new();
            let mut inside = self.inside.into_iter();
            while let (Some(key), Some(value)) = (inside.next(), inside.next()) {
                entries.push((key, value));
            }
            What::Map(entries)
        } else {
            What::List(self.inside)
        };
        Node {
            line: self.line,
            what,
        }
    }
}

/// Reads the one document of a text.
///
/// # Errors
///
/// Why it is not taken.
pub(super) fn read(text: &str) -> Result<Node, String> {
    let mut open: Vec<Open> = Vec::new();
    let mut whole = None;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| error.to_string())?;
        let line = u64::try_from(span.start.line()).unwrap_or(u64::MAX);
        let node = match event {
            Event::DocumentStart(..) if whole.is_some() => {
                return Err(format!("line {line}: a second document begins"));
            }
            Event::Alias(_) => return Err(format!("line {line}: aliases (*) are not taken")),
            Event::Scalar(text, style, ..) => Node {
                line,
                what: scalar(text.into_owned(), style),
            },
            Event::MappingStart(..) | Event::SequenceStart(..) if open.len() >= DEEPEST => {
                return Err(format!("line {line}: it is nested too deeply"));
            }
            Event::MappingStart(..) | Event::SequenceStart(..) => {
                open.push(Open {
                    line,
                    is_map: matches!(event, Event::MappingStart(..)),
                    inside: Vec::new(),
                });
                continue;
            }
            Event::MappingEnd | Event::SequenceEnd => match open.pop() {
                Some(ended) => ended.close(),
                None => continue,
            },
            _ => continue,
        };
        match open.last_mut() {
            Some(around) => around.inside.push(node),
            None => whole = Some(node),
        }
    }
    whole.ok_or_else(|| "it is empty".to_owned())
}

fn scalar(text: String, style: ScalarStyle) -> What {
    let is_plain = style == ScalarStyle::Plain;
    match text.as_str() {
        "" | "~" | "null" | "Null" | "NULL" if is_plain => What::Nothing,
        _ => What::Text(text),
    }
}
