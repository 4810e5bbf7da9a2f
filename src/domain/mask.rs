//! Secret values out of text that people will read, and the end of a log cut to what a condition holds.
//! Used by `e2b` for its messages and by `domain::secrets` for whatever comes out of a sandbox.

mod view;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use base64::{
    Engine as _,
    alphabet::{Alphabet, STANDARD, URL_SAFE},
    engine::{GeneralPurpose, GeneralPurposeConfig},
};
use secrecy::{ExposeSecret, SecretSlice};
use std::ops::Range;
use view::View;

/// Text that replaces a secret.
const MASK: &str = "***";

/// Length from which the lines of a longer secret are masked one by one (bytes): shorter ones (`}`) hide nothing.
const MIN_LINE: usize = 8;

/// A longer value is masked in pieces of this length (bytes): whoever prints it may have cut it before it came here.
const PIECE: usize = 192;

/// Fewer letters of base64 stand in any text.
const MIN_ENCODED: usize = 4;

/// Linux takes no longer string into an environment (bytes).
pub(super) const MAX_VALUE: usize = 128 << 10;

/// `text` with every occurrence of a secret replaced by `***`: as it is, in base64 wherever in an encoded text it begins,
/// also over several lines, URL-encoded, and escaped as in JSON. A secret of several lines is masked line by line too, for logs that indent or
/// cut it. Mask first, cut afterwards.
pub fn mask(text: &str, secrets: &[&str]) -> String {
    let raw = View::of(text);
    let decoded = text.contains('%').then(|| raw.url_decoded(false));
    let form = text.contains('+').then(|| raw.url_decoded(true));
    let unescaped = text.contains('\\').then(|| raw.unescaped());
    let others = [&decoded, &form, &unescaped].into_iter().flatten();
    let readable: Vec<&View> = std::iter::once(&raw).chain(others).collect();
    let encoded: Vec<View> =
        [Some(&raw), decoded.as_ref()].into_iter().flatten().map(View::unwrapped).collect();
    let mut hidden = Vec::new();
    // One secret at a time: the searchers of all of them together could take more memory than all else.
    for secret in secrets {
        let pieces = pieces(secret);
        let plain: Vec<Form> = pieces.iter().map(|piece| Form::plain(piece)).collect();
        find(&plain, &readable, &mut hidden);
        let base64: Vec<Form> = pieces.iter().flat_map(|piece| Form::base64(piece)).collect();
        find(&base64, &encoded.iter().collect::<Vec<_>>(), &mut hidden);
    }
    without(text, hidden)
}

/// Cuts `secret` into what is looked for: the whole and its longer lines, each in pieces.
fn pieces(secret: &str) -> Vec<&[u8]> {
    let secret = &secret[..secret.floor_char_boundary(MAX_VALUE)];
    let whole = std::iter::once(secret.trim()).filter(|whole| !whole.is_empty());
    let lines = secret.lines().map(str::trim).filter(|line| line.len() >= MIN_LINE);
    let mut found: Vec<&[u8]> = whole.chain(lines).flat_map(|part| cut(part.as_bytes())).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// `part` in pieces of [`PIECE`]; the last one reaches back, so that none is short.
fn cut(part: &[u8]) -> impl Iterator<Item = &[u8]> {
    let last = part.len().saturating_sub(PIECE);
    let starts = (0..last).step_by(PIECE).chain(std::iter::once(last));
    starts.map(move |start| &part[start..part.len().min(start + PIECE)])
}

/// One way to write a piece of a secret.
struct Form {
    letters: SecretSlice<u8>,
    /// The letter before, or behind, holds bits of the secret too.
    before: bool,
    behind: bool,
    /// `=` may follow that only fills the last group.
    padded: bool,
}

impl Form {
    fn plain(piece: &[u8]) -> Self {
        Self { letters: piece.to_vec().into(), before: false, behind: false, padded: false }
    }

    /// The letters that depend on `piece` alone, for each of the three places in a group where it can begin.
    fn base64(piece: &[u8]) -> Vec<Self> {
        let mut forms = Vec::new();
        for alphabet in [&STANDARD, &URL_SAFE] {
            for skipped in 0..3 {
                let form = Self::encoded(piece, skipped, alphabet);
                if form.letters.expose_secret().len() >= MIN_ENCODED {
                    forms.push(form);
                }
            }
        }
        forms
    }

    fn encoded(piece: &[u8], skipped: usize, alphabet: &Alphabet) -> Self {
        let engine = GeneralPurpose::new(alphabet, GeneralPurposeConfig::new().with_encode_padding(false));
        let shifted = SecretSlice::from([&vec![0; skipped], piece].concat());
        let letters = engine.encode(shifted.expose_secret()).into_bytes();
        // 8 bits a byte, 6 a letter: a letter counts when all of its bits are the piece's.
        let (first, end) = ((skipped * 8).div_ceil(6), (skipped + piece.len()) * 8 / 6);
        let own = letters.get(first..end).unwrap_or_default().to_vec();
        Self { letters: own.into(), before: skipped > 0, behind: end < letters.len(), padded: true }
    }
}

/// Adds to `hidden` where in the text of `views` one of `forms` stands.
fn find(forms: &[Form], views: &[&View], hidden: &mut Vec<Range<usize>>) {
    let searcher = AhoCorasick::builder()
        // The other kinds take a hundred times as much memory for long patterns.
        .kind(Some(AhoCorasickKind::ContiguousNFA))
        .build(forms.iter().map(|form| form.letters.expose_secret()))
        .expect("values are cut far below what an automaton can number");
    for view in views {
        for found in searcher.find_overlapping_iter(&view.bytes) {
            let form = &forms[found.pattern().as_usize()];
            let letter = |at: usize| view.bytes.get(at).is_some_and(|byte| is_base64(*byte));
            let (mut start, mut end) = (found.start(), found.end());
            if form.before && start > 0 && letter(start - 1) {
                start -= 1;
            }
            if form.behind && letter(end) {
                end += 1;
            }
            if form.padded {
                end += view.bytes[end..].iter().take(2).take_while(|byte| **byte == b'=').count();
            }
            hidden.extend(view.place(start..end));
        }
    }
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/-_".contains(&byte)
}

/// `text` with every one of `hidden`, in whatever order and however they overlap, replaced.
fn without(text: &str, mut hidden: Vec<Range<usize>>) -> String {
    hidden.sort_unstable_by_key(|range| range.start);
    let (mut masked, mut shown) = (String::with_capacity(text.len()), 0);
    let mut ranges = hidden.into_iter().peekable();
    while let Some(mut range) = ranges.next() {
        // What overlaps or touches is one secret to the reader.
        while let Some(next) = ranges.next_if(|next| next.start <= range.end) {
            range.end = range.end.max(next.end);
        }
        let start = text.floor_char_boundary(range.start).max(shown);
        masked.push_str(&text[shown..start]);
        masked.push_str(MASK);
        shown = text.ceil_char_boundary(range.end);
    }
    masked.push_str(&text[shown..]);
    masked
}

/// The last `lines` lines of `text`, at most `bytes` bytes of them, cut at a character; without the line feeds at
/// the end.
pub fn last_lines(text: &str, lines: usize, bytes: usize) -> String {
    let text = text.trim_end();
    let start = text.rmatch_indices('\n').nth(lines.saturating_sub(1)).map_or(0, |(at, _)| at + 1);
    let tail = &text[start..];
    tail[tail.ceil_char_boundary(tail.len().saturating_sub(bytes))..].to_owned()
}

#[cfg(test)]
mod tests;
