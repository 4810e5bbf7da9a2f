//! Commit messages and the trailer that says whose commit it is.
//! Source: git-interpret-trailers(1).

/// The trailer's key. Its value is the Task's UID.
pub const TRAILER: &str = "Slipway-Task";

/// Title, description, trailer. The title is one line, whatever was typed.
pub fn commit_message(title: &str, description: &str, task_uid: &str) -> String {
    let title = title.split_whitespace().collect::<Vec<_>>().join(" ");
    with_trailer(&format!("{title}\n\n{description}"), task_uid)
}

/// A message of the user's own with our trailer behind it: in the last paragraph if that holds trailers already, else in
/// a paragraph of its own.
pub fn with_trailer(message: &str, task_uid: &str) -> String {
    let message = clean(message);
    let trailer = format!("{TRAILER}: {task_uid}");
    if message.is_empty() {
        return format!("{trailer}\n");
    }
    let separator = if ends_in_trailers(&message) { "\n" } else { "\n\n" };
    format!("{message}{separator}{trailer}\n")
}

/// The UID of the Task whose commit this is, by its trailer. Ours is always the last line, so text of the user's that looks
/// like it does not count.
pub fn task_of(message: &str) -> Option<&str> {
    let last = message.trim_end().lines().last()?;
    let value = last.strip_prefix(TRAILER)?.strip_prefix(':')?.trim();
    (!value.is_empty()).then_some(value)
}

/// As git stores it: LF, no blanks at line ends, no blank lines around it, no NUL.
fn clean(message: &str) -> String {
    let message = message.replace("\r\n", "\n").replace('\r', "\n").replace('\0', "");
    let lines: Vec<&str> = message.lines().map(str::trim_end).collect();
    lines.join("\n").trim_matches('\n').to_owned()
}

fn ends_in_trailers(message: &str) -> bool {
    let Some((_, last)) = message.rsplit_once("\n\n") else {
        return false;
    };
    let is_trailer = |line: &str| {
        line.split_once(": ").is_some_and(|(key, _)| {
            key.contains('-') && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        })
    };
    last.lines().all(is_trailer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn title_description_and_trailer_are_paragraphs() {
        assert_eq!(
            commit_message("Add\n a  page", "Why:\r\nbecause  \n", "u-1"),
            "Add a page\n\nWhy:\nbecause\n\nSlipway-Task: u-1\n"
        );
        assert_eq!(commit_message("Add", "", "u-1"), "Add\n\nSlipway-Task: u-1\n");
        assert_eq!(commit_message("Add", " \n\n", "u-1"), "Add\n\nSlipway-Task: u-1\n");
    }

    #[test]
    fn trailers_stay_in_one_paragraph() {
        assert_eq!(
            with_trailer("Fix\n\nSigned-off-by: A <a@b.c>\n", "u"),
            "Fix\n\nSigned-off-by: A <a@b.c>\nSlipway-Task: u\n"
        );
        assert_eq!(with_trailer("Fix: it", "u"), "Fix: it\n\nSlipway-Task: u\n");
        assert_eq!(
            with_trailer("Fix\n\nNote: no trailer", "u"),
            "Fix\n\nNote: no trailer\n\nSlipway-Task: u\n"
        );
        assert_eq!(with_trailer("", "u"), "Slipway-Task: u\n");
    }

    #[test]
    fn only_our_own_last_line_says_whose_commit_it_is() {
        assert_eq!(task_of(&commit_message("t", "Slipway-Task: forged", "real")), Some("real"));
        assert_eq!(task_of("t\n\nSlipway-Task: gone\n\nbut edited"), None);
        assert_eq!(task_of("t\n\nSlipway-Task:   \n"), None);
        assert_eq!(task_of(""), None);
    }

    #[test]
    fn the_same_input_gives_the_same_message_and_cleaning_it_again_changes_nothing() {
        let message = commit_message("t", "a\0b\rc", "u");
        assert_eq!(message, "t\n\nab\nc\n\nSlipway-Task: u\n");
        assert_eq!(format!("{}\n", clean(&message)), message);
    }
}
