//! Counts who holds how many bytes of the spool, and whose its directories are: numbers and names, no disk.
//! Kept by `files::spool` under one lock, so that what is counted and what is there change together.

use std::collections::BTreeMap;

/// Ends the name of a directory that a transfer still fills.
const PARTIAL: &str = "partial";
/// Ends the name of a directory that is being deleted.
const LEAVING: &str = "leaving";

/// The index of everything below the spool's directory. Names of ours have dots, ids have none.
#[derive(Debug)]
pub(super) struct Room {
    reserved: u64,
    kept: BTreeMap<String, Kept>,
    /// Directories to delete, by name: they take their room until they are deleted.
    leaving: BTreeMap<String, u64>,
    /// Transfers under way, by the name of their directory.
    transfers: BTreeMap<String, Transfer>,
    /// Makes names and snapshots tell apart from all others.
    serial: u64,
}

/// One whole snapshot.
#[derive(Debug, Clone, Copy)]
struct Kept {
    bytes: u64,
    serial: u64,
}

#[derive(Debug)]
struct Transfer {
    id: String,
    /// Somebody has removed its id or begun it anew: its result is not kept.
    given_up: bool,
}

impl Room {
    /// `serial`: beyond every one that a former process has used.
    pub(super) fn new(serial: u64) -> Self {
        Self {
            reserved: 0,
            kept: BTreeMap::new(),
            leaving: BTreeMap::new(),
            transfers: BTreeMap::new(),
            serial,
        }
    }

    /// Bytes that nobody else can have.
    pub(super) fn used(&self) -> u64 {
        let kept = self.kept.values().map(|kept| kept.bytes);
        let all = kept.chain(self.leaving.values().copied()).chain([self.reserved]);
        all.fold(0, u64::saturating_add)
    }

    pub(super) fn reserve(&mut self, bytes: u64) {
        self.reserved = self.reserved.saturating_add(bytes);
    }

    pub(super) fn give_back(&mut self, bytes: u64) {
        self.reserved = self.reserved.saturating_sub(bytes);
    }

    /// The name of the directory that a new transfer of `id` fills; every earlier one of `id` is given up.
    pub(super) fn begin(&mut self, id: &str) -> String {
        self.give_up(|other| other == id);
        let name = self.name(id, PARTIAL);
        self.transfers.insert(name.clone(), Transfer { id: id.to_owned(), given_up: false });
        name
    }

    /// The transfers of all `ids` keep nothing any more.
    pub(super) fn give_up(&mut self, ids: impl Fn(&str) -> bool) {
        for transfer in self.transfers.values_mut().filter(|transfer| ids(&transfer.id)) {
            transfer.given_up = true;
        }
    }

    /// Returns whether the transfer that fills `name` may keep its result.
    pub(super) fn may_keep(&self, name: &str) -> bool {
        self.transfers.get(name).is_some_and(|transfer| !transfer.given_up)
    }

    /// Returns whether a transfer fills the directory `name`.
    pub(super) fn is_filled(&self, name: &str) -> bool {
        self.transfers.contains_key(name)
    }

    /// The transfer that filled `name` is over; `left`: the bytes of it that could not be deleted.
    pub(super) fn end(&mut self, name: &str, left: Option<u64>) {
        self.transfers.remove(name);
        if let Some(bytes) = left {
            self.leaving.insert(name.to_owned(), bytes);
        }
    }

    pub(super) fn holds(&self, id: &str) -> bool {
        self.kept.contains_key(id)
    }

    /// Returns which snapshot `id` is now, if there is one.
    pub(super) fn serial_of(&self, id: &str) -> Option<u64> {
        self.kept.get(id).map(|kept| kept.serial)
    }

    pub(super) fn keep(&mut self, id: &str, bytes: u64) {
        self.serial += 1;
        self.kept.insert(id.to_owned(), Kept { bytes, serial: self.serial });
    }

    pub(super) fn forget(&mut self, id: &str) {
        self.kept.remove(id);
    }

    /// The snapshot `id` stands under the returned name from now on, on its way out.
    pub(super) fn leave(&mut self, id: &str, name: &str) {
        let bytes = self.kept.remove(id).map_or(0, |kept| kept.bytes);
        self.leaving.insert(name.to_owned(), bytes);
    }

    /// A name for the directory of `id` while it is deleted.
    pub(super) fn leaving_name(&mut self, id: &str) -> String {
        self.name(id, LEAVING)
    }

    pub(super) fn gone(&mut self, name: &str) {
        self.leaving.remove(name);
    }

    /// The snapshots of the Task `uid`.
    pub(super) fn of_task(&self, uid: &str) -> Vec<String> {
        let from = self.kept.range(uid.to_owned()..).map(|(id, _)| id);
        from.take_while(|id| id.starts_with(uid)).filter(|id| is_of(id, uid)).cloned().collect()
    }

    pub(super) fn all_kept(&self) -> Vec<String> {
        self.kept.keys().cloned().collect()
    }

    /// Lists what has to be deleted of the snapshots whose id begins with `prefix`.
    pub(super) fn all_leaving(&self, prefix: &str) -> Vec<String> {
        self.leaving.keys().filter(|name| name.starts_with(prefix)).cloned().collect()
    }

    fn name(&mut self, id: &str, kind: &str) -> String {
        self.serial += 1;
        format!("{id}.{}.{kind}", self.serial)
    }
}

/// Returns whether `id` names a snapshot of the Task `uid`.
pub(super) fn is_of(id: &str, uid: &str) -> bool {
    id.strip_prefix(uid).is_some_and(|rest| rest.starts_with('-'))
}
