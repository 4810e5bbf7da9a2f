//! What the reviewers of this repository would otherwise have to look for: arrows between modules, schema bounds, sizes.
//! Reads the sources as text, and the CRDs as the binary prints them.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails its test")]

mod arrows;
mod circles;
mod graph;
mod reasons;
mod schema;
mod sources;
mod style;
