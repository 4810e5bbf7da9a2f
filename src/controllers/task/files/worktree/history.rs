//! Asks what a directory in the sandbox is a copy of.
//! Part of `worktree`; the Task controller goes on with the commits at GitHub.

use super::script::{command, cut, git_failed};
use crate::{
    api::conditions::reason, controllers::task::files::error::FilesError, domain::git::is_id, e2b::Envd,
};

const HISTORY: &str = include_str!("history.sh");
/// Commits of a copy that are looked at.
const MAX_COMMITS: usize = 20_000;
/// Bytes that those commits take.
const MAX_HISTORY: usize = 1 << 20;

/// What lies in `source.path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum History {
    /// No repository, or one without a commit.
    None,
    Commits(Commits),
}

/// The commits that a copy stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commits {
    /// Newest first, children before their parents.
    pub ids: Vec<String>,
    /// The oldest there is, even where `ids` ends before it.
    pub oldest: String,
}

/// Asks what the directory is a copy of.
pub async fn history(envd: &Envd, path: &str) -> Result<History, FilesError> {
    let command = command("readHistory", HISTORY, [path.to_owned(), MAX_COMMITS.to_string()]);
    let output = envd.run(command.clone(), MAX_HISTORY).await?;
    if let Some(error) = FilesError::no_directory(output.exit_code, path) {
        return Err(error);
    }
    match output.exit_code {
        Some(0) => {}
        Some(_) if !output.stderr.is_empty() => {
            return Err(git_failed(&String::from_utf8_lossy(&output.stderr)));
        }
        _ => return Err(command.unexpected_output(&output).into()),
    }
    parse_history(path, &String::from_utf8_lossy(&output.stdout))
}

fn parse_history(path: &str, text: &str) -> Result<History, FilesError> {
    let (kind, rest) = text.split_once('\n').unwrap_or((text, ""));
    match kind {
        "none" | "empty" => Ok(History::None),
        "missing" => Err(FilesError::Unfit {
            reason: reason::GIT_MISSING,
            message: format!(
                "{path} is a git repository, but the sandbox has no git to read it with: take a template with git, or remove \
                 .git if the directory is to be laid over the base branch as it is"
            ),
        }),
        "broken" => Err(damaged(path, rest)),
        "commits" => {
            let (ids, oldest) = rest.split_once("\n\n").unwrap_or((rest, ""));
            let (ids, oldest) =
                (ids.lines().map(str::to_owned).collect::<Vec<_>>(), oldest.trim().to_owned());
            if ids.iter().chain([&oldest]).all(|id| is_id(id)) && !ids.is_empty() {
                return Ok(History::Commits(Commits { ids, oldest }));
            }
            if oldest.len() == 64 {
                return Err(FilesError::Invalid(
                    "the repository in the sandbox has SHA-256 ids, which GitHub does not take".to_owned(),
                ));
            }
            Err(FilesError::Interrupted("the sandbox's git listed no commits".to_owned()))
        }
        _ => Err(FilesError::Interrupted("the sandbox said nothing of its repository".to_owned())),
    }
}

/// The work tree can't be read, with what git says of it.
fn damaged(path: &str, words: &str) -> FilesError {
    let words = cut(words);
    FilesError::Unfit {
        reason: reason::WORK_TREE_DAMAGED,
        message: format!(
            "{path}/.git is no repository that git can read ({words}): mend it, or remove .git if the directory is to be laid \
             over the base branch as it is"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "61780798228d17af2d34fce4cfbdf35556832472";
    const B: &str = "3e757656cf36eca53338e520d134963a44f793f8";

    #[test]
    fn the_history_is_read_as_far_as_it_makes_sense() {
        for none in ["none\n", "empty\n"] {
            assert_eq!(parse_history("/a", none).ok(), Some(History::None));
        }
        let commits = History::Commits(Commits { ids: vec![A.into(), B.into()], oldest: B.into() });
        assert_eq!(parse_history("/a", &format!("commits\n{A}\n{B}\n\n{B}\n")).ok(), Some(commits));
        let wide = "a".repeat(64);
        for (said, reason, words) in [
            ("missing\n", reason::GIT_MISSING, "no git"),
            ("broken\nfatal: not a git repository\n", reason::WORK_TREE_DAMAGED, "not a git repository"),
            ("", reason::TRANSFER_INTERRUPTED, "nothing"),
            ("commits\n", reason::TRANSFER_INTERRUPTED, "no commits"),
            ("commits\n--upload-pack=x\n\n--y\n", reason::TRANSFER_INTERRUPTED, "no commits"),
            (&format!("commits\n{A}\n{B}"), reason::TRANSFER_INTERRUPTED, "no commits"),
            (&format!("commits\n{wide}\n\n{wide}\n"), reason::INVALID_FILES, "SHA-256"),
        ] {
            let error = parse_history("/a", said).expect_err(said);
            assert_eq!(error.reason(), reason, "{said}");
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
