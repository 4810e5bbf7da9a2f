//! Takes `multipart/form-data` apart (RFC 7578), as far as uploads need it.
//! Used by `upload`.

/// One part of a form.
#[derive(Debug, PartialEq, Eq)]
pub struct Part<'a> {
    pub name: String,
    /// As given, with its directories.
    pub filename: Option<String>,
    pub body: &'a [u8],
}

/// The parts of `body`, whose boundary `content_type` names. The error says what is wrong.
pub fn parts<'a>(content_type: &str, body: &'a [u8]) -> Result<Vec<Part<'a>>, String> {
    let boundary =
        parameter(content_type, "boundary").ok_or("no multipart boundary param in Content-Type")?;
    let delimiter = format!("--{boundary}");
    let mut rest = find(body, delimiter.as_bytes()).map(|at| &body[at + delimiter.len()..]);
    let separator = format!("\r\n{delimiter}");
    let mut parts = Vec::new();
    while let Some(after) = rest {
        if after.starts_with(b"--") {
            return Ok(parts);
        }
        let line = find(after, b"\r\n").ok_or("multipart: NextPart: EOF")?;
        let after = &after[line..];
        let length = find(after, separator.as_bytes()).ok_or("multipart: NextPart: EOF")?;
        parts.push(part(&after[2..length.max(2)])?);
        rest = Some(&after[length + separator.len()..]);
    }
    Err("multipart: NextPart: EOF".to_owned())
}

fn part(content: &[u8]) -> Result<Part<'_>, String> {
    let end = find(content, b"\r\n\r\n").ok_or("malformed MIME header")?;
    let headers = String::from_utf8_lossy(&content[..end]);
    let disposition = headers.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-disposition").then(|| value.trim().to_owned())
    });
    let disposition = disposition.unwrap_or_default();
    Ok(Part {
        name: parameter(&disposition, "name").unwrap_or_default(),
        filename: parameter(&disposition, "filename"),
        body: &content[end + 4..],
    })
}

/// A parameter of a header value: a token, or quoted.
fn parameter(header: &str, wanted: &str) -> Option<String> {
    let mut rest = header.split_once(';')?.1;
    loop {
        let (name, value) = rest.split_once('=')?;
        let (value, after) = if let Some(quoted) = value.strip_prefix('"') {
            unquote(quoted)?
        } else {
            let (value, after) = value.split_once(';').unwrap_or((value, ""));
            (value.trim().to_owned(), after)
        };
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = after.trim_start().trim_start_matches(';');
    }
}

/// The text up to the closing quote, and what follows that.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_taken_apart() {
        let body =
            b"--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"/a/b \\\"c\\\".txt\"\r\n\
            Content-Type: text/plain\r\n\r\nhi\r\n--not\r\n--x\r\n\
            Content-Disposition: form-data; name=other\r\n\r\n\r\n--x--\r\n";
        let parts = parts("multipart/form-data; boundary=x", body).expect("a form");
        assert_eq!(parts.len(), 2);
        assert_eq!(parts[0].name, "file");
        assert_eq!(parts[0].filename.as_deref(), Some("/a/b \"c\".txt"));
        assert_eq!(parts[0].body, b"hi\r\n--not");
        assert_eq!(parts[1], Part { name: "other".into(), filename: None, body: b"" });
    }

    #[test]
    fn a_cut_form_is_an_error() {
        assert!(
            parts("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\nhi")
                .is_err()
        );
        assert!(parts("multipart/form-data", b"").is_err());
    }
}
