//! Results of sandboxes on repositories made by git: what becomes of them at GitHub is what git says it is.
//! Both stand-ins, real git on both sides, and the operator's own reading and committing between them.

// A test may panic.
#![allow(clippy::unwrap_used)]

mod adding;
mod cases;
mod checkout;
mod checkout_faults;
mod elsewhere;
mod hostile;
mod large;
mod lfs;
mod pieces;
mod random;
mod rounds;
mod support;
