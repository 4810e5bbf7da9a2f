//! Paths as clients write them: relative to a home, with `~`, with dots.
//! The rules of envd's `permissions.ExpandAndResolve`; `view` then resolves links.

use std::path::{Component, Path, PathBuf};

use super::super::sandbox::users::User;

/// The absolute path without dots that `path` means for `user`; an empty one is their home.
pub fn expand(path: &str, user: &User) -> PathBuf {
    let home = Path::new(&user.home);
    let joined = match path {
        "" | "~" => home.to_owned(),
        path => path.strip_prefix("~/").map_or_else(|| home.join(path), |rest| home.join(rest)),
    };
    let mut clean = PathBuf::from("/");
    for component in joined.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            // Lexically, as Go's `filepath.Clean`: before any link is looked at.
            Component::ParentDir => drop(clean.pop()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_expanded_as_envd_does() {
        let user = User { name: "user".into(), uid: 1000, gid: 1000, home: "/home/user".into() };
        for (path, expanded) in [
            ("", "/home/user"),
            ("~", "/home/user"),
            ("~/a", "/home/user/a"),
            ("a/./b/../c", "/home/user/a/c"),
            ("/a//b/", "/a/b"),
            ("/../../etc", "/etc"),
        ] {
            assert_eq!(expand(path, &user), Path::new(expanded), "{path}");
        }
    }
}
