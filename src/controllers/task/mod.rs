//! task

pub mod commit;
