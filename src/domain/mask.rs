//! Secret values out of text that people will read, and the end of a log cut to what a condition holds.
//! Used by `e2b` for its messages and by `controllers::task` for the last lines of a generation.

/// What stands where a secret stood.
const MASK: &str = "***";

/// Lines of a longer secret are masked by themselves from this length on (bytes): shorter ones (`}`) hide nothing.
const MIN_LINE: usize = 8;

/// `text` with every occurrence of a secret replaced by `***`. A secret of several lines is masked line by line
/// too, for logs that indent or cut it.
pub fn mask(text: &str, secrets: &[&str]) -> String {
    let whole = secrets.iter().map(|secret| secret.trim()).filter(|secret| !secret.is_empty());
    let lines = secrets.iter().flat_map(|s| s.lines()).map(str::trim).filter(|line| line.len() >= MIN_LINE);
    let mut needles: Vec<&str> = whole.chain(lines).collect();
    // The longest first: a secret that contains another is not left with its ends showing.
    needles.sort_unstable_by(|a, b| b.len().cmp(&a.len()).then(a.cmp(b)));
    needles.dedup();
    let mut masked = text.to_owned();
    for needle in needles {
        if masked.contains(needle) {
            masked = masked.replace(needle, MASK);
        }
    }
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
mod tests {
    use super::*;

    #[test]
    fn masks_whole_values_and_their_lines() {
        assert_eq!(mask("token=abcdef and abc", &["abc", "abcdef\n"]), "token=*** and ***");
        let key = "-----BEGIN-----\nMIIEvQIBADANBg\n}\n";
        assert_eq!(mask("  MIIEvQIBADANBg\n}", &[key]), "  ***\n}");
        assert_eq!(mask("untouched", &["", " "]), "untouched");
    }

    #[test]
    fn keeps_the_end() {
        assert_eq!(last_lines("a\nb\nc\n", 2, 100), "b\nc");
        assert_eq!(last_lines("a\nb", 20, 100), "a\nb");
        assert_eq!(last_lines("ééé", 20, 3), "é");
        assert_eq!(last_lines("", 20, 3), "");
    }
}
