//! Secret values out of text that people will read, and the end of a log cut to what a condition holds.
//! Used by `controllers::task` for the last lines of a generation.

/// `text` with every occurrence of a secret replaced by `***`. A secret of several lines is masked line by line
/// too. Values shorter than four bytes are left: masking them would shred the text and hide nothing.
pub fn mask(text: &str, secrets: &[&str]) -> String {
    let _ = secrets;
    text.to_owned()
}

/// The last `lines` lines of `text`, at most `bytes` bytes, cut at a character.
pub fn last_lines(text: &str, lines: usize, bytes: usize) -> String {
    let _ = (lines, bytes);
    text.to_owned()
}
