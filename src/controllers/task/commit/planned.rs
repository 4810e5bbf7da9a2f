//! What a commit is to change, and on which commit it stands: by the kind of result, and by what others have put on the
//! branch. Reads trees by `base`; used by `commit` only.

use super::{
    base::Base,
    filtered,
    published::{self, Published},
    request::Request,
};
use crate::{
    api::{RERUN_ANNOTATION, conditions::reason},
    domain::{
        failure::{Class, Failure},
        files::WorkTree,
        git::{Changes, Wanted},
    },
    github::Client,
};

/// The changes of a commit.
pub(super) struct Planned<'a> {
    pub(super) changes: Changes<'a>,
    /// The commit that the new one stands on.
    pub(super) parent: String,
    /// Id that GitHub takes as `base_tree`.
    pub(super) base_id: String,
    /// The parent's tree, where it was read.
    base: Option<Base>,
}

impl<'a> Planned<'a> {
    pub(super) async fn of(github: &Client, request: &Request<'a>) -> Result<Self, Failure> {
        let planned = match (&request.snapshot.work_tree, request.last) {
            (Some(tree), None) => Self::of_work_tree(request, tree),
            // What was checked out is the branch's head itself.
            (Some(tree), Some(_)) if tree.parent == request.parent => Self::of_work_tree(request, tree),
            (None, None) => Self::of_directory(github, request).await?,
            (tree, Some(last)) => Self::on_open(github, request, tree.as_ref(), last).await?,
        };
        if planned.changes.removes_all && planned.changes.put.is_empty() {
            return Err(invalid(
                reason::NO_FILES,
                "nothing would be left in the repository, and GitHub takes no empty tree: keep a file"
                    .to_owned(),
            ));
        }
        Ok(planned)
    }

    /// No tree is read: git has told the difference to the very commit that the new one stands on.
    fn of_work_tree(request: &Request<'a>, tree: &WorkTree) -> Self {
        Self {
            changes: Changes::of_work_tree(request.snapshot, tree),
            parent: tree.parent.clone(),
            base_id: tree.parent.clone(),
            base: None,
        }
    }

    async fn of_directory(github: &Client, request: &Request<'a>) -> Result<Self, Failure> {
        let mut base = match request.base {
            Some(base) => base.clone(),
            None => Base::read(github, request.repository, request.parent).await?,
        };
        Self::know_files(github, request, &mut base).await?;
        let wanted = base.tree.laid_over(request.snapshot);
        let wanted = filtered::refuse(github, request.repository, &base.tree, wanted).await?;
        Self::put_on(base, None, wanted)
    }

    /// Lists `base` at all files of the directory, which none of its submodules may have a claim on.
    async fn know_files(github: &Client, request: &Request<'a>, base: &mut Base) -> Result<(), Failure> {
        let paths = request.snapshot.files.iter().map(|file| file.path.as_str());
        base.list(github, request.repository, paths.clone()).await?;
        match paths.clone().find_map(|path| Some((path, base.tree.submodule_of(path)?))) {
            None => Ok(()),
            Some((path, submodule)) => Err(invalid(
                reason::SUBMODULE_PATH,
                format!(
                    "{path:?} lies in the submodule {submodule:?} of the repository: leave it out by spec.source.exclude, or \
                     work in a git checkout, where the submodule's link stays as it is"
                ),
            )),
        }
    }

    /// On an open pull request the result goes onto the branch's head: what differs from what the rounds before have published,
    /// unless somebody else has changed the same.
    async fn on_open(
        github: &Client,
        request: &Request<'a>,
        tree: Option<&WorkTree>,
        last: &str,
    ) -> Result<Self, Failure> {
        let (repository, snapshot) = (request.repository, request.snapshot);
        let Published { base: mut published, is_last } = published::read(github, request, last).await?;
        let wanted = if let Some(tree) = tree {
            let copied = Base::read(github, repository, &tree.parent).await?;
            published.require_whole()?;
            copied.require_whole()?;
            copied.tree.differs_from(&published.tree, snapshot, tree)
        } else {
            Self::know_files(github, request, &mut published).await?;
            let wanted = published.tree.laid_over(snapshot);
            filtered::refuse(github, repository, &published.tree, wanted).await?
        };
        if is_last && last == request.parent {
            return Self::put_on(published, None, wanted);
        }
        let mut head = Base::read(github, repository, request.parent).await?;
        head.list(github, repository, wanted.iter().map(|one| one.path.as_str())).await?;
        Self::put_on(head, Some(&published), wanted)
    }

    fn put_on(base: Base, last: Option<&Base>, wanted: Vec<Wanted<'a>>) -> Result<Self, Failure> {
        let changes = base.tree.put_on(last.map(|last| &last.tree), wanted).map_err(|path| {
            invalid(
                reason::HEAD_MOVED,
                format!(
                    "somebody else has changed {path:?} on the branch of the pull request, and this round changes it too: bring \
                     their change into the sandbox, or take it off the branch, then set the annotation {RERUN_ANNOTATION} to a \
                     new value"
                ),
            )
        })?;
        let (parent, base_id) = (base.commit.clone(), base.id.clone());
        Ok(Self { changes, parent, base_id, base: Some(base) })
    }

    /// Returns whether the parent itself stands for the tree to build on.
    pub(super) fn base_is_commit(&self) -> bool {
        self.base_id == self.parent
    }

    /// Number of files that the parent has and the directory lacks.
    pub(super) fn stays(&self, request: &Request<'_>) -> usize {
        let Some(base) = self.base.as_ref().filter(|_| request.snapshot.work_tree.is_none()) else {
            return 0;
        };
        let has = request.snapshot.files.iter().filter(|file| base.tree.entry(&file.path).is_some()).count();
        let left_out = request.snapshot.unchanged;
        base.tree.entries().len().saturating_sub(has + left_out + self.changes.remove.len())
    }

    /// Checks that the tree GitHub made is the one that was meant. Costs calls only where it does not look so.
    pub(super) async fn check(
        &self,
        github: &Client,
        request: &Request<'_>,
        created: &str,
    ) -> Result<(), Failure> {
        let expected = self.changes.tree.as_ref();
        if expected.is_none_or(|expected| expected == created) {
            return Ok(());
        }
        if let Some(base) = &self.base {
            return base.check(github, request.repository, expected, created).await;
        }
        // The sandbox's git says otherwise: GitHub's own listing decides.
        let mut base = Base::read(github, request.repository, &self.parent).await?;
        let put = self.changes.put.iter().map(|put| Wanted {
            path: put.path.clone(),
            entry: Some((put.mode.clone(), put.id.clone())),
            file: None,
        });
        let gone = self.changes.remove.iter();
        let gone = gone.map(|removal| Wanted { path: removal.path.clone(), entry: None, file: None });
        let wanted: Vec<Wanted<'_>> = gone.chain(put).collect();
        base.list(github, request.repository, wanted.iter().map(|one| one.path.as_str())).await?;
        let expected = base.tree.put_on(None, wanted).ok().and_then(|changes| changes.tree);
        base.check(github, request.repository, expected.as_ref(), created).await
    }
}

fn invalid(reason: &'static str, message: String) -> Failure {
    Failure { operation: "collectFiles", class: Class::Invalid, reason, message }
}
