//! What is broken in the tests' world, as scenarios and random walks set it.
//! Part of `world`; `answers` and `drive` go by it.

use crate::domain::failure::Class;

/// What is broken at present.
#[derive(Debug, Clone, Default)]
pub(super) struct Faults {
    pub kubernetes: Option<Class>,
    pub github: Option<Class>,
    pub e2b: Option<Class>,
    /// Only steps fail, looking works.
    pub steps_only: bool,
    /// The step has its effect; the first answer of each operation is lost.
    pub answer_lost: bool,
    pub lost: Vec<&'static str>,
    pub secret_missing: bool,
    /// Why no transfer begins.
    pub no_worker: Option<&'static str>,
}
