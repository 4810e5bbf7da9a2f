//! Connect's streaming envelopes: a flag byte, a big-endian length, JSON.
pub(super) struct Frames {}
