//! A text read in another way, with the place of every byte in the text itself.
//! Used by `mask` only, which looks for secrets in several views of one text.

use std::ops::Range;

/// The bytes of one reading, and where each of them stands in the text.
pub(super) struct View {
    pub(super) bytes: Vec<u8>,
    places: Vec<Range<usize>>,
}

impl View {
    pub(super) fn of(text: &str) -> Self {
        Self { bytes: text.into(), places: (0..text.len()).map(|at| at..at + 1).collect() }
    }

    /// Every `%XX` as the byte it stands for: so it does not matter which letters were written that way. `plus`: as a form
    /// is encoded, `+` for a space.
    pub(super) fn url_decoded(&self, plus: bool) -> Self {
        self.decoded(|rest| match rest {
            [b'%', high, low, ..] => Some((hex(*high)? * 16 + hex(*low)?, 3)),
            [b'+', ..] if plus => Some((b' ', 1)),
            _ => None,
        })
    }

    /// Without the backslashes of JSON, shells and many a log: a key file in JSON is full of quotes.
    pub(super) fn unescaped(&self) -> Self {
        self.decoded(|rest| match rest {
            [b'\\', b'n', ..] => Some((b'\n', 2)),
            [b'\\', b'r', ..] => Some((b'\r', 2)),
            [b'\\', b't', ..] => Some((b'\t', 2)),
            [b'\\', mark @ (b'\\' | b'"' | b'\'' | b'/'), ..] => Some((*mark, 2)),
            _ => None,
        })
    }

    /// `next` says what the start of the rest stands for, and how many bytes that takes; `None`: for itself.
    fn decoded(&self, next: impl Fn(&[u8]) -> Option<(u8, usize)>) -> Self {
        let (mut bytes, mut places) = (Vec::new(), Vec::new());
        let mut at = 0;
        while let Some(&byte) = self.bytes.get(at) {
            let (meant, width) = next(&self.bytes[at..]).unwrap_or((byte, 1));
            bytes.push(meant);
            places.push(self.places[at].start..self.places[at + width - 1].end);
            at += width;
        }
        Self { bytes, places }
    }

    /// Without line ends and the blanks behind them: `base64` breaks its lines, and some indent them.
    pub(super) fn unwrapped(&self) -> Self {
        let (mut bytes, mut places, mut at_start) = (Vec::new(), Vec::new(), false);
        for (byte, place) in self.bytes.iter().zip(&self.places) {
            at_start = matches!(byte, b'\n' | b'\r') || (at_start && matches!(byte, b' ' | b'\t'));
            if !at_start {
                bytes.push(*byte);
                places.push(place.clone());
            }
        }
        Self { bytes, places }
    }

    /// Finds where in the text `range` of this view stands.
    pub(super) fn place(&self, range: Range<usize>) -> Option<Range<usize>> {
        let places = self.places.get(range)?;
        Some(places.first()?.start..places.last()?.end)
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}
