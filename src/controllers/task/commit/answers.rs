//! Answers of GitHub's that do not fit what was sent.
//! Used by every module of this folder that creates something.

use crate::{
    api::conditions::reason,
    domain::failure::{Class, Failure},
};

/// GitHub took what it was sent for something else.
pub(super) fn mismatch(operation: &'static str, what: &str) -> Failure {
    Failure {
        operation,
        class: Class::Transient,
        reason: reason::UNEXPECTED_ANSWER,
        message: format!("GitHub answered {operation} with {what}; it is tried again"),
    }
}
