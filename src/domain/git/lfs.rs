//! Pointers of git LFS: what stands in a tree for a file that is kept elsewhere. Pure.
//! Source: git-lfs/docs/spec.md, "The Pointer".

use super::ids::blob_id;
use serde::{Deserialize, Serialize};

/// A longer file is no pointer (bytes).
pub const MAX_POINTER: u64 = 1024;
const VERSION: &str = "version https://git-lfs.github.com/spec/v1";

/// A file that git LFS keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    /// SHA-256 of its content, hex.
    pub oid: String,
    /// Bytes.
    pub size: u64,
}

impl Pointer {
    /// Reads a pointer; `None`: the content is something else.
    pub fn parse(content: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(content).ok().filter(|text| text.len() as u64 <= MAX_POINTER)?;
        let mut lines = text.lines();
        if lines.next()? != VERSION {
            return None;
        }
        let (mut oid, mut size) = (None, None);
        for line in lines {
            match line.split_once(' ')? {
                ("oid", value) => oid = Some(value.strip_prefix("sha256:")?.to_owned()),
                ("size", value) => size = Some(value.parse().ok()?),
                (key, _) if key.starts_with("ext-") => {}
                _ => return None,
            }
        }
        let is_hex =
            |oid: &String| oid.len() == 64 && oid.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        Some(Self { oid: oid.filter(is_hex)?, size: size? })
    }

    /// Git's id of the pointer in a tree.
    pub fn id(&self) -> String {
        blob_id(self.text().as_bytes())
    }

    /// Writes it as git LFS does.
    pub fn text(&self) -> String {
        format!("{VERSION}\noid sha256:{}\nsize {}\n", self.oid, self.size)
    }
}

/// Returns whether a server of `.lfsconfig` is the repository at `home` itself, however it is written.
pub fn is_server_of(server: &str, home: &str) -> bool {
    place(server).is_some_and(|server| place(home) == Some(server))
}

/// Host and path, as `host/owner/name`.
fn place(url: &str) -> Option<String> {
    let url = url.trim().to_ascii_lowercase();
    let place = match url.split_once("://") {
        Some((_, place)) => place.to_owned(),
        // As ssh has it: `git@host:owner/name.git`.
        None => url.replacen(':', "/", 1),
    };
    let (host, path) = place.split_once('/')?;
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let path = path.trim_matches('/');
    let path = path.strip_suffix("/info/lfs").unwrap_or(path);
    Some(format!("{host}/{}", path.strip_suffix(".git").unwrap_or(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repositorys_own_server_is_known_by_any_of_its_names() {
        let home = "https://github.com/Acme/shop.git";
        for own in [
            "https://github.com/acme/shop.git/info/lfs",
            "https://github.com/acme/shop/info/lfs/",
            "https://x@github.com/acme/shop",
            "http://GitHub.com/acme/shop.git",
            "ssh://git@github.com/acme/shop.git",
            "git@github.com:acme/shop.git",
        ] {
            assert!(is_server_of(own, home), "{own}");
        }
        for other in [
            "https://lfs.example.com/acme/shop",
            "https://github.com/acme/shop2",
            "https://github.com@evil/acme/shop",
            "",
            "x",
        ] {
            assert!(!is_server_of(other, home), "{other}");
        }
    }

    #[test]
    fn pointers_are_read_and_written_as_git_lfs_does() {
        let oid = "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393";
        let text = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 12345\n");
        let pointer = Pointer { oid: oid.to_owned(), size: 12345 };
        assert_eq!((Pointer::parse(text.as_bytes()), pointer.text()), (Some(pointer), text.clone()));
        let extended = text.replace("oid", &format!("ext-0-foo sha256:{oid}\noid"));
        assert!(Pointer::parse(extended.as_bytes()).is_some());
        for odd in [
            String::new(),
            "hello".to_owned(),
            text.replace("v1", "v2"),
            text.replace(oid, "12"),
            text.replace(oid, &oid.to_uppercase()),
            text.replace("12345", "-1"),
            text.replace("size 12345\n", ""),
            format!("{text}{}", "x y\n".repeat(300)),
            format!("{text}more\n"),
        ] {
            assert_eq!(Pointer::parse(odd.as_bytes()), None, "{odd}");
        }
    }
}
