//! What a call can do without the right that its App lacks: the cure of the call beside that of the token.
//! Asked by `client` where a token with that right is not to be had.

use super::{Error, call::Call, operation::Operation};
use crate::api::conditions::reason;

/// The refusal of a token as the call that needs it tells it.
pub(super) fn of_call(call: &Call<'_>, refused: Error) -> Error {
    if refused.reason != reason::PERMISSION_MISSING {
        return refused;
    }
    if let Some(file) = call.file.filter(|_| call.is_of_workflows()) {
        let message = format!(
            "{}; or leave the files below .github/workflows ({file}) out with source.exclude",
            refused.message
        );
        return Error { reason: reason::WORKFLOW_PERMISSION_MISSING, message, ..refused };
    }
    let other = match call.operation {
        Operation::ListCheckRuns | Operation::CombinedStatus => {
            "or set pullRequest.merge.requireChecks to false"
        }
        Operation::CreateRepository => "or create it by hand and give the App's installation access to it",
        Operation::RequestReviewers if call.more.is_some() => {
            "that is a permission of the organization, and without it no team can be asked"
        }
        _ => return refused,
    };
    Error { message: format!("{}; {other}", refused.message), ..refused }
}
