//! Parses the output of `list.sh` as it comes: it holds no more of it than one batch of facts and one name.
//! Fed by `files::listing`, which decides entry by entry whether it wants more.

use std::ops::ControlFlow;

/// Entries of one batch: find puts at most so many names into one command, and this is ten times what it does.
const MAX_BATCH: usize = 1 << 17;
/// Longest line or name (bytes): Linux has no longer path than 4096.
const MAX_TOKEN: usize = 8 << 10;

/// The sandbox's facts about one entry, as it tells them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    /// `st_mode` of inode(7).
    pub mode: u32,
    /// Bytes; of a link: of its target's name.
    pub size: u64,
}

/// Reason why nothing more is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// The words don't fit: something vanished while it was listed, or somebody lies.
    Odd,
    /// Whoever takes the entries has enough.
    Enough,
}

#[derive(Debug, Default)]
pub(super) struct Parser {
    has_tar: Option<bool>,
    /// Lines of the batch that are to come.
    lines: usize,
    /// The facts of the batch, and how many of them have their name.
    facts: Vec<Facts>,
    named: usize,
    /// The beginning of a token whose end is to come.
    rest: Vec<u8>,
}

impl Parser {
    /// Returns whether there is a tar, once everything has arrived.
    pub(super) fn finish(self) -> Option<bool> {
        let complete = self.lines == 0 && self.named == self.facts.len() && self.rest.is_empty();
        self.has_tar.filter(|_| complete)
    }

    /// Hands every entry that `piece` completes to `take`: its path without `./`, and its facts.
    pub(super) fn feed(
        &mut self,
        mut piece: &[u8],
        take: &mut impl FnMut(&[u8], Facts) -> ControlFlow<()>,
    ) -> Result<(), Stop> {
        while let Some(end) = piece.iter().position(|b| *b == self.delimiter()) {
            let token = &piece[..end];
            piece = &piece[end + 1..];
            if self.rest.len() + token.len() > MAX_TOKEN {
                return Err(Stop::Odd);
            }
            if self.rest.is_empty() {
                self.token(token, take)?;
            } else {
                let mut whole = std::mem::take(&mut self.rest);
                whole.extend_from_slice(token);
                self.token(&whole, take)?;
            }
        }
        if self.rest.len() + piece.len() > MAX_TOKEN {
            return Err(Stop::Odd);
        }
        self.rest.extend_from_slice(piece);
        Ok(())
    }

    fn names_are_due(&self) -> bool {
        self.lines == 0 && self.named < self.facts.len()
    }

    fn delimiter(&self) -> u8 {
        if self.names_are_due() { 0 } else { b'\n' }
    }

    fn token(
        &mut self,
        token: &[u8],
        take: &mut impl FnMut(&[u8], Facts) -> ControlFlow<()>,
    ) -> Result<(), Stop> {
        if self.has_tar.is_none() {
            self.has_tar = Some(token == b"tar");
        } else if self.names_are_due() {
            let path = token.strip_prefix(b"./").ok_or(Stop::Odd)?;
            let facts = self.facts[self.named];
            self.named += 1;
            if take(path, facts).is_break() {
                return Err(Stop::Enough);
            }
        } else if self.lines > 0 {
            self.facts.push(parse_facts(token).ok_or(Stop::Odd)?);
            self.lines -= 1;
        } else {
            let count = std::str::from_utf8(token).ok().and_then(|count| count.parse().ok());
            self.lines = count.filter(|count| *count <= MAX_BATCH).ok_or(Stop::Odd)?;
            self.facts.clear();
            self.named = 0;
        }
        Ok(())
    }
}

fn parse_facts(line: &[u8]) -> Option<Facts> {
    let (mode, size) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    Some(Facts { mode: u32::from_str_radix(mode, 16).ok()?, size: size.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    type Entry = (Vec<u8>, u32, u64);

    /// Fed in pieces of `size` bytes.
    fn parsed(text: &[u8], size: usize) -> Result<(Option<bool>, Vec<Entry>), Stop> {
        let (mut parser, mut entries) = (Parser::default(), Vec::new());
        for piece in text.chunks(size) {
            parser.feed(piece, &mut |path, facts| {
                entries.push((path.to_vec(), facts.mode, facts.size));
                ControlFlow::Continue(())
            })?;
        }
        Ok((parser.finish(), entries))
    }

    #[test]
    fn reads_batches_with_odd_names_in_any_pieces() {
        let text = b"tar\n3\n81a4 5\n81ed 0\na1ff 3\n./a\nb\0./-x\0./l\0\x31\n11b6 0\n./fifo\0";
        let expected = [("a\nb", 0x81a4, 5), ("-x", 0x81ed, 0), ("l", 0xa1ff, 3), ("fifo", 0x11b6, 0)]
            .map(|(name, mode, size)| (name.as_bytes().to_vec(), mode, size));
        for size in 1..=text.len() {
            assert_eq!(parsed(text, size), Ok((Some(true), expected.to_vec())), "{size}");
        }
        assert_eq!(parsed(b"none\n", 9), Ok((Some(false), Vec::new())));
    }

    #[test]
    fn a_listing_that_lacks_something_is_none() {
        for partial in
            ["", "ta", "tar\n1", "tar\n2\n81a4 5\n81a4 5\n./a\0", "tar\n1\n81a4 5\n./a", "tar\n1\n"]
        {
            assert_eq!(parsed(partial.as_bytes(), 99).map(|(tar, _)| tar), Ok(None), "{partial:?}");
        }
    }

    #[test]
    fn odd_words_end_it_at_once() {
        let long = format!("tar\n1\n81a4 1\n./{}", "n".repeat(MAX_TOKEN));
        let table = [
            "tar\n2\n81a4 5\n./a\0",
            "tar\n99999999999\n81a4 1\n",
            "tar\n200000\n",
            "tar\nx\n",
            "tar\n1\n81a4\n",
            "tar\n1\n81a4 5\n/etc/passwd\0",
            &long,
        ];
        for odd in table {
            // What only fits its line feed later is odd by then.
            let text = [odd.as_bytes(), b"\n"].concat();
            assert_eq!(parsed(&text, 7), Err(Stop::Odd), "{:?}", odd.chars().take(30).collect::<String>());
        }
    }
}
