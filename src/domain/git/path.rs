//! The paths that git and GitHub take into a tree; everything a sandbox names is judged here before it is used.
//! Source: git's `verify_path` (read-cache.c, path.c, utf8.c), which every git runs on every path it checks out.

/// Longest path (bytes): Linux has no longer one.
const MAX_PATH: usize = 4096;
/// Characters that HFS+ ignores in names, so that `.g\u{200c}it` is `.git` there.
const IGNORED_BY_HFS: [char; 16] = [
    '\u{200c}', '\u{200d}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}',
    '\u{202e}', '\u{206a}', '\u{206b}', '\u{206c}', '\u{206d}', '\u{206e}', '\u{206f}', '\u{feff}',
];

/// Reads the path of a tree entry; otherwise says what is wrong with it.
pub fn tree_path(path: &[u8]) -> Result<&str, &'static str> {
    let Ok(text) = std::str::from_utf8(path) else {
        return Err("is no UTF-8, which GitHub's API can't carry");
    };
    if text.len() > MAX_PATH {
        return Err("is longer than 4096 bytes");
    }
    if text.contains('\0') {
        return Err("holds a NUL");
    }
    if text.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err("is no path below the root of a repository");
    }
    if text.split(['/', '\\']).any(is_dot_git) {
        return Err("holds a name that git keeps for itself");
    }
    Ok(text)
}

/// Returns whether some file system takes `name` for `.git`: by case, by what HFS+ ignores, or by what NTFS cuts off.
fn is_dot_git(name: &str) -> bool {
    let plain: String = name.chars().filter(|c| !IGNORED_BY_HFS.contains(c)).collect();
    // NTFS: a stream after a colon, and blanks and dots at the end.
    let seen = plain.split(':').next().unwrap_or_default().trim_end_matches([' ', '.']);
    seen.eq_ignore_ascii_case(".git") || seen.eq_ignore_ascii_case("git~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_would_check_out_is_taken() {
        for path in [
            "a",
            "a/b",
            ".gitignore",
            ".github/workflows/ci.yml",
            "a b",
            "a\nb",
            "\u{e4}/\u{1f600}",
            "git",
            "a/.gitmodules",
            "x.git",
            "..a",
            "a..",
            "-rf",
            "C:x",
            "a\\b",
            "=end",
        ] {
            assert_eq!(tree_path(path.as_bytes()), Ok(path));
        }
        assert!(tree_path("x".repeat(4096).as_bytes()).is_ok());
    }

    #[test]
    fn what_could_lead_elsewhere_is_refused() {
        let long = "a/".repeat(2048) + "a";
        for path in [
            "",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "a/../b",
            "./a",
            ".git",
            ".git/hooks/x",
            "a/.git",
            "a/.GIT/config",
            ".gIt",
            "git~1",
            "a/GIT~1/x",
            ".git.",
            ".git ",
            ".git . .",
            ".git::$INDEX_ALLOCATION/x",
            ".git:x",
            ".g\u{200c}it",
            "\u{feff}.git",
            "a\\.git\\x",
            "a\0b",
            &long,
        ] {
            assert!(tree_path(path.as_bytes()).is_err(), "{path:?}");
        }
        assert_eq!(tree_path(b"a\xff"), Err("is no UTF-8, which GitHub's API can't carry"));
    }
}
