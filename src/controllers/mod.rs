//! The controllers of the three kinds: observe, decide, perform, record.
//! They meet in API objects and do not import each other.

pub mod brought;
pub mod credentials;
pub mod repository;
pub mod sandbox;
pub mod shell;
pub mod task;
