//! Branch names: the default one, and what git and GitHub take.
//! Source: git-check-ref-format(1); GitHub, "Dealing with special characters in branch and tag names".

/// Bytes. A file name of 255 holds `<branch>.lock`, and a suffix still fits behind it.
pub const MAX_BRANCH: usize = 244;
const MAX_TASK: usize = 100;
const MAX_SLUG: usize = 40;

/// `task/<name>/<slug>`: the branch of a Task that names none. `task` is a Kubernetes name, so it holds only
/// `[a-z0-9.-]`; cut, it can still be a valid part of a reference.
pub fn default_branch_name(task: &str, title: &str) -> String {
    let task: String = task.chars().take(MAX_TASK).collect();
    format!("task/{}/{}", task.replace(".lock", "-lock"), slug(title))
}

fn slug(title: &str) -> String {
    let mut slug = String::new();
    for c in title.chars().map(|c| c.to_ascii_lowercase()) {
        if c.is_ascii_lowercase() || c.is_ascii_digit() {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.truncate(MAX_SLUG);
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() { "work".to_owned() } else { slug.to_owned() }
}

/// Whether this can be a branch at GitHub: what git takes, at most [`MAX_BRANCH`] bytes, and neither something that looks
/// like an object id nor a full reference.
pub fn is_valid_branch(name: &str) -> bool {
    let looks_like_id = name.len() == 40 && name.bytes().all(|b| b.is_ascii_hexdigit());
    let forbidden = |c: char| c.is_ascii_control() || " ~^:?*[\\".contains(c);
    let part_is_valid =
        |part: &str| !part.is_empty() && !part.starts_with('.') && part.strip_suffix(".lock").is_none();
    !name.is_empty()
        && name.len() <= MAX_BRANCH
        && !looks_like_id
        && !name.starts_with('-')
        && !name.starts_with("refs/")
        && !matches!(name, "@" | "HEAD")
        && !name.ends_with('.')
        && !name.contains("..")
        && !name.contains("@{")
        && !name.contains(forbidden)
        && name.split('/').all(part_is_valid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_made_of_name_and_title() {
        let name = |task: &str, title: &str| default_branch_name(task, title);
        assert_eq!(name("login", "Add a login page!"), "task/login/add-a-login-page");
        assert_eq!(name("a.lock", "x"), "task/a-lock/x");
        assert_eq!(name("t", "  --Ünïcode: ... "), "task/t/n-code");
        assert_eq!(name("t", "数据"), "task/t/work");
        assert_eq!(name("t", ""), "task/t/work");
        assert_eq!(name("t", &"ab ".repeat(30)), format!("task/t/{}", "ab-".repeat(13) + "a"));
        assert_eq!(name(&"n".repeat(253), "x"), format!("task/{}/x", "n".repeat(100)));
    }

    #[test]
    fn a_default_is_always_valid_even_where_the_cut_is_unlucky() {
        for title in ["", "-", "a.lock", "x/y", "@{", "..", "HEAD", "ends with."] {
            for cut in 90..=104 {
                for tail in ["a", "a.lock", ".a", "-a.b"] {
                    let task = format!("{}{tail}", "a".repeat(cut));
                    let name = default_branch_name(&task, title);
                    assert!(is_valid_branch(&name), "{name}");
                }
            }
        }
    }

    #[test]
    fn what_git_or_github_refuses_is_not_valid() {
        for bad in [
            "",
            "@",
            "HEAD",
            "-a",
            "/a",
            "a/",
            "a//b",
            ".a",
            "a/.b",
            "a.lock",
            "a.lock/b",
            "a..b",
            "a.",
            "a b",
            "a~b",
            "a^b",
            "a:b",
            "a?b",
            "a*b",
            "a[b",
            "a\\b",
            "a@{b",
            "a\u{7f}",
            "a\nb",
            "refs/heads/a",
            "0123456789012345678901234567890123456789",
        ] {
            assert!(!is_valid_branch(bad), "{bad:?}");
        }
        assert!(!is_valid_branch(&"a".repeat(245)));
        for good in
            ["a", "feature/x-1", "a.b", "a@b", "ä/ö", "a#b", "a%b", "lock", "a.lockb", &"a".repeat(244)]
        {
            assert!(is_valid_branch(good), "{good:?}");
        }
    }
}
