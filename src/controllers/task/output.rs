//! Reads what a command has left in `$SLIPWAY_OUTPUT`: texts for the commit and the pull request.
//! Part of the Task controller; `domain::output` says what of it is used.

use crate::{
    domain::output::{FILES, Output},
    e2b::{Command, Envd, Error},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use std::time::Duration;

const SCRIPT: &str = include_str!("output.sh");
/// All files in base64 fit in this (bytes).
const MAX_OUTPUT: usize = 256 << 10;
const TIMEOUT: Duration = Duration::from_secs(20);

/// The directory of one run, made before its command starts.
pub(super) fn directory(generation: &str) -> String {
    format!("/var/tmp/slipway/{generation}/output")
}

/// Reads as the user that the command ran as: what that one may not read is no text of its.
pub(super) async fn read(envd: &Envd, generation: &str) -> Result<Output, Error> {
    let files = FILES.iter().flat_map(|file| [file.name.to_owned(), file.most.to_string()]);
    let mut command = Command::sh("readOutput", SCRIPT, std::iter::once(directory(generation)).chain(files));
    command.timeout = Some(TIMEOUT);
    let output = envd.run(command.clone(), MAX_OUTPUT).await?;
    parse(&String::from_utf8_lossy(&output.stdout)).ok_or_else(|| command.unexpected_output(&output))
}

fn parse(text: &str) -> Option<Output> {
    let mut contents: [Option<Vec<u8>>; 3] = [const { None }; 3];
    let lines: Vec<&str> = text.lines().collect();
    if lines.len() != contents.len() {
        return None;
    }
    for (content, line) in contents.iter_mut().zip(lines) {
        if let Some(encoded) = line.strip_prefix('=') {
            *content = Some(BASE64_STANDARD.decode(encoded).ok()?);
        }
    }
    Some(Output::of(contents.each_ref().map(Option::as_deref)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_each_file_is_read() {
        let output = parse("=SGk=\n\n=\n").expect("three lines");
        assert_eq!((output.title.as_deref(), output.body, output.message), (Some("Hi"), None, None));
        for odd in ["", "=SGk=\n", "=?\n\n\n", "\n\n\n\n"] {
            assert_eq!(parse(odd), None, "{odd:?}");
        }
    }
}
