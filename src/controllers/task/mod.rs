//! The Task controller: from a sandbox to a merged pull request.
//! Reads and writes through `e2b` and `github`; decides in `domain`.

pub mod commit;
pub mod files;
pub mod generate;
