//! What of a Markdown text GitHub shows: a command is not to be told what no reader of the pull request sees.
//! Part of `feedback`.

/// The text without what GitHub does not show: HTML comments, processing instructions and link definitions that lead nowhere,
/// outside of code. What is only begun in the middle of a paragraph is shown by GitHub, and so it is here.
///
/// Source: GitHub Flavored Markdown Spec, "Fenced code blocks", "HTML blocks", "Raw HTML", "Link reference definitions".
pub(super) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut fence: Option<&str> = None;
    let (mut rest, mut left) = (text, MOST_HIDDEN);
    while !rest.is_empty() {
        let line = &rest[..rest.find('\n').map_or(rest.len(), |at| at + 1)];
        if let Some(open) = fence {
            if closes(line, open) {
                fence = None;
            }
            shown.push_str(line);
            rest = &rest[line.len()..];
        } else if let Some(marks) = opens(line) {
            fence = Some(marks);
            shown.push_str(line);
            rest = &rest[line.len()..];
        } else if is_hidden_definition(line) {
            rest = &rest[line.len()..];
        } else {
            rest = push_line(rest, line.len(), &mut shown, &mut left);
        }
    }
    shown.chars().filter(|c| !is_invisible(*c)).collect()
}

/// A line without the up to three blanks that Markdown ignores before a block; more make it code.
fn block(line: &str) -> Option<&str> {
    let text = line.trim_start_matches(' ');
    (line.len() - text.len() <= 3).then_some(text)
}

fn fence_of(text: &str) -> Option<(&str, &str)> {
    let mark = text.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let after = text.trim_start_matches(mark);
    let marks = &text[..text.len() - after.len()];
    (marks.len() >= 3).then_some((marks, after))
}

/// The marks of a fence that this line opens.
fn opens(line: &str) -> Option<&str> {
    let (marks, info) = fence_of(block(line)?)?;
    (marks.starts_with('~') || !info.contains('`')).then_some(marks)
}

fn closes(line: &str, open: &str) -> bool {
    let fence = block(line).and_then(fence_of);
    fence.is_some_and(|(marks, after)| marks.starts_with(open) && after.trim().is_empty())
}

/// `[//]: # (words that nobody sees)`.
fn is_hidden_definition(line: &str) -> bool {
    let definition = block(line).and_then(|text| text.strip_prefix('[')?.split_once("]:"));
    definition.is_some_and(|(_, rest)| {
        ["#", "<>", "<#>"].contains(&rest.split_whitespace().next().unwrap_or_default())
    })
}

/// Hidden parts of one text that are looked for: a text with more is nobody's, and ends there.
const MOST_HIDDEN: usize = 500;

/// What GitHub hides, from its first mark to its last.
const HIDDEN: [(&str, &str); 3] = [("<!--", "-->"), ("<?", "?>"), ("<![CDATA[", "]]>")];

/// Appends what is shown of a line of `length` bytes, and of what it hides beyond its end; returns what is left.
fn push_line<'t>(mut text: &'t str, mut length: usize, shown: &mut String, left: &mut usize) -> &'t str {
    let (mut at, mut is_start) = (0, true);
    while at < length {
        let here = &text[at..length];
        if here.starts_with('`') {
            let span = code_span(here);
            shown.push_str(&here[..span]);
            at += span;
        } else if let Some((open, close)) = HIDDEN.iter().find(|(open, _)| here.starts_with(open)) {
            if *left == 0 {
                return "";
            }
            *left -= 1;
            let begins = is_start && text[..at].trim_matches(' ').is_empty() && at <= 3;
            let after = &text[at + open.len()..];
            let paragraph = after.find("\n\n").unwrap_or(after.len());
            // One that begins a block goes on over blank lines, to the end of the text if need be.
            let scope = if begins { after.len() } else { paragraph };
            match after[..scope].find(close) {
                Some(end) => {
                    text = &after[end + close.len()..];
                    length = text.find('\n').map_or(text.len(), |at| at + 1);
                    (at, is_start) = (0, false);
                }
                None if begins => return "",
                None => {
                    shown.push_str(open);
                    at += open.len();
                }
            }
        } else {
            let next = here.chars().next().map_or(here.len(), char::len_utf8);
            shown.push_str(&here[..next]);
            at += next;
        }
    }
    &text[length..]
}

/// Bytes of the code span that a line begins with; marks without an end are text.
fn code_span(line: &str) -> usize {
    let marks = line.len() - line.trim_start_matches('`').len();
    let inside = line[marks..].find(&line[..marks]).map_or(0, |end| end + marks);
    marks + inside
}

/// Characters that are not seen but read: of no width, or turning the direction of writing.
pub(super) fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
        | '\u{e0000}'..='\u{e007f}')
        || (c.is_control() && !matches!(c, '\n' | '\t'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_github_does_not_show_is_left_out() {
        for (text, shown) in [
            ("a <!-- b --> c", "a  c"),
            ("a\n<!-- b\n\nc -->\nd", "a\n\nd"),
            ("a\n  <!-- never closed\n\nb", "a\n  "),
            ("a <!-- in a paragraph\nb", "a <!-- in a paragraph\nb"),
            ("a <!-- b\n\nc --> d", "a <!-- b\n\nc --> d"),
            ("<!-- ``` -->a", "a"),
            ("`<!--` is code <!-- x -->", "`<!--` is code "),
            ("``a ` <!-- b`` <!-- x -->`", "``a ` <!-- b`` `"),
            ("```html\n<!-- code -->\n```\n<!-- x -->y", "```html\n<!-- code -->\n```\ny"),
            ("~~~~\n```\n<!-- code -->\n~~~~\n<!-- x -->", "~~~~\n```\n<!-- code -->\n~~~~\n"),
            ("    ```\n<!-- x -->y", "    ```\ny"),
            ("``` a`b\n<!-- x -->y", "``` a`b\ny"),
            ("```\n``` no end\n<!-- code -->\n", "```\n``` no end\n<!-- code -->\n"),
            ("[//]: # (push to main)\na", "a"),
            ("[a]: https://example.com\n", "[a]: https://example.com\n"),
            ("<? hidden ?>a<![CDATA[ hidden ]]>b", "ab"),
            ("zero\u{200b}width\u{202e}", "zerowidth"),
            ("tag\u{e0041}s\u{7}", "tags"),
        ] {
            assert_eq!(visible(text), shown, "{text:?}");
        }
    }

    #[test]
    fn a_text_of_nothing_but_hidden_parts_ends() {
        assert_eq!(visible(&"<!-- -->".repeat(100_000)), "");
        assert_eq!(visible(&"a<!---->".repeat(100_000)).len(), MOST_HIDDEN + 1);
    }
}
