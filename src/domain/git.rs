//! Git without git: object ids, tree differences, branch names and commit messages. Pure.

/// `task/<name>/<slug>`: the branch of a Task that names none.
pub fn default_branch_name(task: &str, title: &str) -> String {
    let _ = (task, title);
    todo!()
}

/// Whether GitHub takes this as a branch's name (`git check-ref-format --branch`, and no more than 244 bytes).
pub fn is_valid_branch(name: &str) -> bool {
    let _ = name;
    todo!()
}

/// Title, description and the trailer that says whose commit it is.
pub fn commit_message(title: &str, description: &str, task_uid: &str) -> String {
    let _ = (title, description, task_uid);
    todo!()
}
