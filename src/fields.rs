//! The fields of a form or a query, `name=value&…`, decoded once.

use percent_encoding::percent_decode;
use zeroize::Zeroizing;

/// The most fields a form may have: ten times as many as any of ours.
pub const MAX_FIELDS: usize = 100;

/// The fields as they came. No `Debug`: they hold passwords.
#[derive(Default)]
pub struct Fields(Vec<Field>);

struct Field {
    name: Zeroizing<String>,
    /// None if it is not UTF-8.
    value: Option<Zeroizing<String>>,
}

/// There are more than [`MAX_FIELDS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

impl Fields {
    /// Reads what a form sends. A field whose name is not UTF-8 is dropped: nobody asks for it.
    ///
    /// # Errors
    ///
    /// [`TooMany`], empty fields included in the count; then nothing is decoded.
    pub fn parse(encoded: &[u8]) -> Result<Self, TooMany> {
        let pairs = || encoded.split(|byte| *byte == b'&');
        if pairs().nth(MAX_FIELDS).is_some() {
            return Err(TooMany);
        }
        let field = |pair: &[u8]| {
            let mut parts = pair.splitn(2, |byte| *byte == b'=');
            let name = decode(parts.next()?)?;
            let value = decode(parts.next().unwrap_or_default());
            Some(Field { name, value })
        };
        Ok(Self(pairs().filter_map(field).collect()))
    }

    /// The values of a field; `None` for each that is not UTF-8.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Option<&'a str>> {
        let named = self.0.iter().filter(move |field| *field.name == name);
        named.map(|field| field.value.as_ref().map(|value| value.as_str()))
    }
}

/// Undoes the encoding of forms; `None` if the result is not UTF-8.
fn decode(encoded: &[u8]) -> Option<Zeroizing<String>> {
    let spaced: Zeroizing<Vec<u8>> = Zeroizing::new(
        encoded
            .iter()
            .map(|byte| if *byte == b'+' { b' ' } else { *byte })
            .collect(),
    );
    // Given all its room from the start: a buffer that grows leaves a copy behind that is not
    // wiped.
    let mut bytes = Vec::with_capacity(encoded.len());
    bytes.extend(percent_decode(&spaced));
    String::from_utf8(bytes).ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_fields_are_read_and_one_more_is_refused() {
        let fields = |count: usize| vec!["a=1"; count].join("&");
        let read = Fields::parse(fields(100).as_bytes()).ok().unwrap();
        assert_eq!(read.values("a").count(), 100);
        for many in [
            fields(101),
            "&".repeat(100),
            "&".repeat(65_000),
            "=&".repeat(101),
            format!("{}&username=a", fields(100)),
        ] {
            assert_eq!(Fields::parse(many.as_bytes()).err(), Some(TooMany));
        }
    }
}
