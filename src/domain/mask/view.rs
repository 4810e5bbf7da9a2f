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
        let (mut bytes, mut places) = (Vec::new(), Vec::new());
        let mut at = 0;
        while let Some(&byte) = self.bytes.get(at) {
            let escaped = (byte == b'%').then(|| self.bytes.get(at + 1..at + 3)).flatten().and_then(hex);
            let (meant, width) = match escaped {
                Some(meant) => (meant, 3),
                None if plus && byte == b'+' => (b' ', 1),
                None => (byte, 1),
            };
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

    /// Where in the text `range` of this view stands.
    pub(super) fn place(&self, range: Range<usize>) -> Option<Range<usize>> {
        let places = self.places.get(range)?;
        Some(places.first()?.start..places.last()?.end)
    }
}

fn hex(digits: &[u8]) -> Option<u8> {
    let value = |digit: u8| char::from(digit).to_digit(16);
    let [high, low] = *digits else { return None };
    u8::try_from(value(high)? * 16 + value(low)?).ok()
}
