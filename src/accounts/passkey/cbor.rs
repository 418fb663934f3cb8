//! As much CBOR (RFC 8949) as authenticators may write: CTAP 2.2, section 8, knows no indefinite
//! lengths and no tags.

/// Deepest nesting that is passed over; CTAP allows four levels.
const MAX_DEPTH: usize = 8;

/// A value without others in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Item<'a> {
    Int(i64),
    Bytes(&'a [u8]),
    Text(&'a [u8]),
}

/// Reads one value after the other; `None` where there is none of that kind.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Begins a map: how many pairs of values follow.
    pub(super) fn map(&mut self) -> Option<u64> {
        let (kind, pairs, _) = self.head()?;
        (kind == 5).then_some(pairs)
    }

    pub(super) fn item(&mut self) -> Option<Item<'a>> {
        match self.head()? {
            (0, n, _) => Some(Item::Int(i64::try_from(n).ok()?)),
            (1, n, _) => Some(Item::Int(-1 - i64::try_from(n).ok()?)),
            (2, n, _) => Some(Item::Bytes(self.take(n)?)),
            (3, n, _) => Some(Item::Text(self.take(n)?)),
            _ => None,
        }
    }

    /// Passes over a whole value, and gives its bytes.
    pub(super) fn skip(&mut self) -> Option<&'a [u8]> {
        let before = self.rest;
        self.skip_within(MAX_DEPTH)?;
        before.get(..before.len() - self.rest.len())
    }

    fn skip_within(&mut self, depth: usize) -> Option<()> {
        let deeper = depth.checked_sub(1)?;
        // A list of any length ends with the bytes: each of its values takes one at least.
        match self.head()? {
            (0 | 1, ..) => {}
            (2 | 3, n, _) => self.take(n).map(|_| ())?,
            (4, n, _) => (0..n).try_for_each(|_| self.skip_within(deeper))?,
            (5, n, _) => (0..n).try_for_each(|_| {
                self.skip_within(deeper)?;
                self.skip_within(deeper)
            })?,
            // A simple value in a byte of its own is one that does not fit in the head.
            (7, n, 24) if n < 32 => return None,
            (7, ..) => {}
            _ => return None,
        }
        Some(())
    }

    /// The kind of the next value, the number in its head, and how that is written.
    fn head(&mut self) -> Option<(u8, u64, u8)> {
        let [first] = self.array()?;
        let form = first & 0x1f;
        let number = match form {
            0..=23 => u64::from(form),
            24 => u64::from(u8::from_be_bytes(self.array()?)),
            25 => u64::from(u16::from_be_bytes(self.array()?)),
            26 => u64::from(u32::from_be_bytes(self.array()?)),
            27 => u64::from_be_bytes(self.array()?),
            _ => return None,
        };
        Some((first >> 5, number, form))
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*taken)
    }

    fn take(&mut self, n: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(usize::try_from(n).ok()?)?;
        self.rest = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skipped(bytes: &[u8]) -> Option<usize> {
        Reader::new(bytes).skip().map(<[u8]>::len)
    }

    #[test]
    fn every_item_is_read_in_each_form_of_its_length() {
        for (bytes, item) in [
            (&[0x17][..], Item::Int(23)),
            (&[0x18, 24], Item::Int(24)),
            (&[0x19, 1, 0], Item::Int(256)),
            (&[0x1a, 0, 1, 0, 0], Item::Int(65_536)),
            (&[0x1b, 0, 0, 0, 1, 0, 0, 0, 0], Item::Int(1 << 32)),
            (&[0x26], Item::Int(-7)),
            (&[0x39, 1, 0], Item::Int(-257)),
            (
                &[0x3b, 127, 255, 255, 255, 255, 255, 255, 255],
                Item::Int(i64::MIN),
            ),
            (&[0x42, 1, 2], Item::Bytes(&[1, 2])),
            (&[0x58, 1, 9], Item::Bytes(&[9])),
            (&[0x63, b'f', b'm', b't'], Item::Text(b"fmt")),
        ] {
            let mut reader = Reader::new(bytes);
            assert_eq!(reader.item(), Some(item));
            assert!(reader.is_at_end());
            for cut in 0..bytes.len() {
                assert_eq!(Reader::new(&bytes[..cut]).item(), None, "{item:?}");
            }
        }
        for other in [
            &[0xf5][..],
            &[0x80],
            &[0xa0],
            &[0xc0, 0],
            &[0x1f],
            &[0x5f, 0xff],
        ] {
            assert_eq!(Reader::new(other).item(), None, "{other:?}");
        }
        // Too large for a number of ours.
        assert_eq!(Reader::new(&[0x1b, 255, 0, 0, 0, 0, 0, 0, 0]).item(), None);
        assert_eq!(Reader::new(&[0x3b, 255, 0, 0, 0, 0, 0, 0, 0]).item(), None);
    }

    #[test]
    fn a_value_is_passed_over_whole_and_no_further() {
        for bytes in [
            &[0x01][..],
            &[0x82, 0x41, 7, 0x60],
            &[0xa1, 0x61, b'a', 0x82, 0xf5, 0xf6],
            &[0xf8, 32],
            &[0xf9, 0x3c, 0],
            &[0xfb, 0, 0, 0, 0, 0, 0, 0, 0],
        ] {
            let more = [bytes, &[0]].concat();
            assert_eq!(skipped(&more), Some(bytes.len()), "{bytes:?}");
            for cut in 0..bytes.len() {
                assert_eq!(skipped(&bytes[..cut]), None, "{bytes:?}");
            }
        }
    }

    #[test]
    fn what_authenticators_may_not_write_is_no_value() {
        // Tags, indefinite lengths, an end without a beginning, simple values in two bytes.
        for bytes in [
            &[0xc0, 0x00][..],
            &[0x5f, 0x41, 0, 0xff],
            &[0x9f, 0xff],
            &[0xbf, 0xff],
            &[0xff],
            &[0xf8, 31],
            &[0x1c],
        ] {
            assert_eq!(skipped(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn nesting_and_promised_lengths_cost_nothing() {
        let nested = |depth: usize| [vec![0x81; depth - 1], vec![0]].concat();
        assert_eq!(skipped(&nested(MAX_DEPTH)), Some(MAX_DEPTH));
        assert_eq!(skipped(&nested(MAX_DEPTH + 1)), None);
        assert_eq!(skipped(&nested(100_000)), None);
        for kind in [0x5b, 0x7b, 0x9b, 0xbb] {
            let promised = [&[kind][..], &[255; 8], &[0; 64]].concat();
            assert_eq!(skipped(&promised), None);
        }
    }
}
