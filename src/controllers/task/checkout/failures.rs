//! The failures of a checkout, each with its cure.
//! Part of `checkout`, whose parts report by them.

use crate::{
    api::conditions::reason,
    domain::failure::{Class, Failure},
};

/// The checkout's name in logs, metrics and failures.
pub(super) const OPERATION: &str = "checkOut";

pub(super) fn too_large(max: u64) -> Failure {
    invalid(
        reason::CHECKOUT_TOO_LARGE,
        format!(
            "what GitHub sends of the repository is more than {max} bytes, as SLIPWAY_MAX_CHECKOUT_BYTES allows (in the chart \
             files.maxCheckoutSize): raise it, or lower source.checkout.depth"
        ),
    )
}

pub(super) fn invalid(reason: &'static str, message: String) -> Failure {
    Failure { operation: OPERATION, class: Class::Invalid, reason, message }
}

pub(super) fn interrupted(what: &str) -> Failure {
    Failure {
        operation: OPERATION,
        class: Class::Transient,
        reason: reason::TRANSFER_INTERRUPTED,
        message: what.to_owned(),
    }
}
