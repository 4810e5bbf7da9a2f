//! Who lives in a sandbox: the host's users and E2B's `user`, who owns /home/user.
//! Written into the sandbox by its owner, asked by `envd` for names, ids and homes.

/// The user that commands run as by default, as in E2B's templates.
pub const USER: &str = "user";

/// One line of /etc/passwd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    pub home: String,
}

/// The sandbox's /etc/passwd and /etc/group.
#[derive(Clone, Debug)]
pub struct Users {
    all: Vec<User>,
    groups: Vec<(String, u32)>,
    passwd: String,
    group: String,
}

impl Users {
    /// The host's users plus `user`. In a user namespace only one id exists, 0: it is shown by the name of whoever
    /// is the sandbox's default user.
    pub fn of_host(privileged: bool, default_user: &str) -> std::io::Result<Self> {
        let id = if privileged { 1000 } else { 0 };
        let with_own = |host: &str, line: &str| {
            let mut lines: Vec<&str> = host.lines().filter(|line| !line.starts_with("user:")).collect();
            // The first line with an id gives the id its name.
            let at = if privileged || default_user == USER { 0 } else { lines.len() };
            lines.insert(at, line);
            lines.join("\n") + "\n"
        };
        let passwd = std::fs::read_to_string("/etc/passwd")?;
        let passwd = with_own(&passwd, &format!("{USER}:x:{id}:{id}::/home/{USER}:/bin/bash"));
        let group = std::fs::read_to_string("/etc/group")?;
        let group = with_own(&group, &format!("{USER}:x:{id}:"));
        Ok(Self {
            all: passwd.lines().filter_map(user).collect(),
            groups: group.lines().filter_map(named_group).collect(),
            passwd,
            group,
        })
    }

    pub fn passwd(&self) -> &str {
        &self.passwd
    }

    pub fn group(&self) -> &str {
        &self.group
    }

    pub fn by_name(&self, name: &str) -> Option<&User> {
        self.all.iter().find(|user| user.name == name)
    }

    /// The name that `uid` is shown by: the number itself when nobody has it.
    pub fn owner(&self, uid: u32) -> String {
        self.all.iter().find(|user| user.uid == uid).map_or_else(|| uid.to_string(), |user| user.name.clone())
    }

    /// The name that `gid` is shown by.
    pub fn group_name(&self, gid: u32) -> String {
        self.groups
            .iter()
            .find(|(_, id)| *id == gid)
            .map_or_else(|| gid.to_string(), |(name, _)| name.clone())
    }
}

fn user(line: &str) -> Option<User> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _, uid, gid, _, home, ..] = fields[..] else { return None };
    Some(User {
        name: name.to_owned(),
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        home: home.to_owned(),
    })
}

fn named_group(line: &str) -> Option<(String, u32)> {
    let mut fields = line.split(':');
    let name = fields.next()?.to_owned();
    Some((name, fields.nth(1)?.parse().ok()?))
}
