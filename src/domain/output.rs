//! What a command leaves in `$SLIPWAY_OUTPUT`, made fit for a commit and a pull request.
//! Pure: the Task controller reads the files; what the spec sets itself comes before them.

use serde::{Deserialize, Serialize};

/// The file that a text was left in, and its longest length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputFile {
    pub name: &'static str,
    /// Bytes; GitHub's own bound for a title is 256 characters, for a pull request's text 65,536.
    pub most: usize,
}

/// The title of the pull request: its first line.
pub const TITLE: OutputFile = OutputFile { name: "title", most: 256 };
/// The text of the pull request; a little room is left for the Task's marker.
pub const BODY: OutputFile = OutputFile { name: "body.md", most: 65_000 };
pub const MESSAGE: OutputFile = OutputFile { name: "commit-message", most: 16_384 };
/// The files that are read, in this order.
pub const FILES: [OutputFile; 3] = [TITLE, BODY, MESSAGE];

/// What was left there and can be used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Output {
    pub title: Option<String>,
    pub body: Option<String>,
    pub message: Option<String>,
    /// What can't be used as it is, in words.
    pub odd: Vec<String>,
}

impl Output {
    /// From the contents of [`FILES`]; `None`: there is no such file. Of a longer file at least a byte too many has to be there.
    pub fn of(contents: [Option<&[u8]>; 3]) -> Self {
        let mut output = Self::default();
        let [title, body, message] = contents;
        output.title = title.and_then(|bytes| text(TITLE, first_line(bytes), &mut output.odd));
        output.body = body.and_then(|bytes| text(BODY, bytes, &mut output.odd));
        output.message = message.and_then(|bytes| text(MESSAGE, bytes, &mut output.odd));
        output
    }

    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The first line that says something.
fn first_line(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == b'\n').find(|line| !line.trim_ascii().is_empty()).unwrap_or_default()
}

fn text(file: OutputFile, bytes: &[u8], odd: &mut Vec<String>) -> Option<String> {
    let OutputFile { name, most } = file;
    let long = bytes.len() > most;
    let bytes = &bytes[..bytes.len().min(most)];
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        // Cut within a character.
        Err(error) if long && error.error_len().is_none() => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => {
            odd.push(format!("{name} is not UTF-8 and is left out"));
            return None;
        }
    };
    if long {
        odd.push(format!("{name} is longer than {most} bytes and is cut there"));
    }
    let text: String = text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_used_is_used_and_the_rest_is_named() {
        let of =
            |title: &[u8], body: &[u8], message: &[u8]| Output::of([Some(title), Some(body), Some(message)]);
        let plain = of(b"\n  Handle it \r\nmore", b"# Why\n\nBecause.\n", b"fix: handle it\n\nMore.\n");
        assert_eq!(plain.title.as_deref(), Some("Handle it"));
        assert_eq!(plain.body.as_deref(), Some("# Why\n\nBecause."));
        assert_eq!(plain.message.as_deref(), Some("fix: handle it\n\nMore."));
        assert!(plain.odd.is_empty());
        assert!(Output::of([None; 3]).is_empty() && of(b" \n\n", b"", b"\t").is_empty());

        let long = "ä".repeat(200);
        let odd = of(long.as_bytes(), b"\xff", b"a\0b\x07c");
        assert_eq!(odd.title.map(|title| title.len()), Some(256));
        assert_eq!((odd.body, odd.message.as_deref()), (None, Some("abc")));
        assert_eq!(odd.odd.len(), 2, "{:?}", odd.odd);
        let cut = of(format!("x{long}").as_bytes(), b"", b"");
        assert_eq!(cut.title.map(|title| title.len()), Some(255), "no half of a character");
    }
}
