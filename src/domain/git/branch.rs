//! The name of the branch of a Task that names none. What a person may choose is said by `api::task`.
//! Source: git-check-ref-format(1); GitHub, "Dealing with special characters in branch and tag names".

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
}
