use super::*;
use Operation as O;

fn refusal(status: u16, message: &str) -> Refusal {
    Refusal { status, message: message.to_owned(), ..Refusal::default() }
}

fn verdict(operation: O, status: u16, message: &str) -> Verdict {
    classify(operation, &refusal(status, message), "acme/app", false)
}

/// Class and reason of a failure.
fn failed(verdict: Verdict) -> (Class, &'static str, String) {
    match verdict {
        Verdict::Failed { class, reason, message } => (class, reason, message),
        other => panic!("expected a failure, got {other:?}"),
    }
}

fn expect(operation: O, status: u16, message: &str, class: Class, reason: &str) {
    let (got, why, text) = failed(verdict(operation, status, message));
    assert_eq!((got, why), (class, reason), "{operation:?} {status} {message}: {text}");
    assert!(text.contains("acme/app") && text.contains(operation.name()), "{text}");
}

const EVERY: [O; 20] = [
    O::GetUser,
    O::GetRepository,
    O::CreateRepository,
    O::GetRef,
    O::MatchingRefs,
    O::GetCommit,
    O::Compare,
    O::GetTree,
    O::BlobExists,
    O::CreateBlob,
    O::CreateTree,
    O::CreateCommit,
    O::CreateRef,
    O::UpdateRef,
    O::DeleteRef,
    O::ListPulls,
    O::SyncPulls,
    O::GetPull,
    O::CreatePull,
    O::MergePull,
];

#[test]
fn what_may_pass_is_transient_for_every_operation() {
    for operation in EVERY {
        for status in [408, 429, 500, 502, 503, 504] {
            expect(operation, status, "", Class::Transient, "GitHubUnavailable");
        }
    }
}

#[test]
fn a_limit_wins_over_everything_else_for_every_operation() {
    let retry_after =
        Refusal { retry_after: Some(Duration::from_secs(7)), ..refusal(403, "Repository was archived") };
    let primary = Refusal {
        remaining: Some(0),
        reset_in: Some(Duration::from_secs(90)),
        ..refusal(429, "API rate limit exceeded")
    };
    let spoken = refusal(
        403,
        "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
    );
    let abuse = refusal(403, "You have triggered an abuse detection mechanism.");
    let by_url = Refusal {
        documentation_url:
            "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary".to_owned(),
        ..refusal(429, "")
    };
    for operation in EVERY {
        let wait = |refusal: &Refusal| match classify(operation, refusal, "", true) {
            Verdict::Limited(limit) => limit.wait,
            other => panic!("{operation:?} {refusal:?}: {other:?}"),
        };
        assert_eq!(wait(&retry_after), Some(Duration::from_secs(7)));
        assert_eq!(wait(&primary), Some(Duration::from_secs(90)));
        assert_eq!((wait(&spoken), wait(&abuse), wait(&by_url)), (None, None, None));
    }
}

#[test]
fn a_permission_that_is_missing_is_named() {
    for operation in EVERY {
        expect(operation, 401, "Bad credentials", Class::Denied, "BadCredentials");
        let said = "Resource not accessible by personal access token";
        expect(operation, 403, said, Class::Denied, "PermissionMissing");
        let (_, _, text) = failed(verdict(operation, 403, said));
        assert!(text.contains(operation.permission()) && text.contains(said), "{text}");
    }
    let accepted = Refusal {
        accepted_permissions: Some("contents=write; workflows=write".to_owned()),
        ..refusal(403, "Resource not accessible by integration")
    };
    let (_, _, text) = failed(classify(O::CreateRef, &accepted, "acme/app", false));
    assert!(text.contains("contents=write; workflows=write"), "{text}");
}

#[test]
fn a_404_is_an_answer_to_a_lookup_a_missing_right_to_a_write_and_a_failure_of_the_rest() {
    for operation in [O::GetRepository, O::GetRef, O::GetCommit, O::Compare, O::BlobExists, O::GetPull] {
        assert_eq!(verdict(operation, 404, "Not Found"), Verdict::State(State::Absent));
    }
    for operation in [
        O::CreateBlob,
        O::CreateTree,
        O::CreateCommit,
        O::CreateRef,
        O::UpdateRef,
        O::DeleteRef,
        O::CreatePull,
        O::MergePull,
    ] {
        expect(operation, 404, "Not Found", Class::Denied, "PermissionMissing");
    }
    expect(O::CreateRepository, 404, "Not Found", Class::Denied, "OwnerNotUsable");
    expect(O::GetTree, 404, "Not Found", Class::NotFound, "TreeMissing");
    for operation in [O::MatchingRefs, O::ListPulls, O::SyncPulls] {
        expect(operation, 404, "Not Found", Class::NotFound, "RepositoryNotFound");
    }
}

#[test]
fn within_a_minute_of_our_own_creation_a_404_is_lag() {
    for operation in EVERY {
        let (class, reason, _) = failed(classify(operation, &refusal(404, "Not Found"), "acme/app", true));
        assert_eq!((class, reason), (Class::Transient, "NotVisibleYet"), "{operation:?}");
    }
    for (operation, said) in
        [(O::CreatePull, "Validation Failed: head invalid"), (O::UpdateRef, "Reference does not exist")]
    {
        let (class, reason, _) = failed(classify(operation, &refusal(422, said), "acme/app", true));
        assert_eq!((class, reason), (Class::Transient, "NotVisibleYet"), "{operation:?}");
    }
}

#[test]
fn states_of_a_repository_have_reasons_of_their_own() {
    for operation in
        [O::GetRef, O::MatchingRefs, O::GetTree, O::CreateBlob, O::CreateTree, O::CreateCommit, O::CreateRef]
    {
        expect(operation, 409, "Git Repository is empty.", Class::Invalid, "RepositoryEmpty");
    }
    for operation in [O::CreateBlob, O::CreateRef, O::CreatePull, O::MergePull] {
        let said = "Repository was archived so is read-only.";
        expect(operation, 403, said, Class::Invalid, "RepositoryArchived");
    }
    for (status, said) in [
        (422, "Repository rule violations found\n\nChanges must be made through a pull request.\n\n"),
        (422, "Cannot update this protected ref."),
        (403, "Protected branch update failed"),
        (409, "Repository rule violations found\n\nCannot create ref due to creations being restricted."),
    ] {
        expect(O::UpdateRef, status, said, Class::Invalid, "BranchProtected");
    }
    let workflow = "refusing to allow a Personal Access Token to create or update workflow `.github/workflows/a.yml` without `workflow` scope";
    expect(O::CreateRef, 403, workflow, Class::Denied, "WorkflowPermissionMissing");
    expect(O::CreateRef, 409, "Conflict", Class::Transient, "Conflict");
}

#[test]
fn a_422_is_read_per_operation() {
    let state = |operation, said: &str| match verdict(operation, 422, said) {
        Verdict::State(state) => state,
        other => panic!("{operation:?} {said}: {other:?}"),
    };
    let exists = "Repository creation failed.: name already exists on this account";
    assert_eq!(state(O::CreateRepository, exists), State::AlreadyExists);
    assert_eq!(state(O::CreateRef, "Reference already exists"), State::AlreadyExists);
    assert_eq!(state(O::UpdateRef, "Update is not a fast forward"), State::NotFastForward);
    assert_eq!(state(O::UpdateRef, "Reference does not exist"), State::Absent);
    assert_eq!(state(O::DeleteRef, "Reference does not exist"), State::Absent);
    let pull = "Validation Failed: A pull request already exists for acme:task/a/b.";
    assert_eq!(state(O::CreatePull, pull), State::AlreadyExists);
    for (operation, said, class, reason) in [
        (O::CreateRef, "Object does not exist", Class::NotFound, "CommitMissing"),
        (O::CreateRef, "a..b is not a valid ref name.", Class::Invalid, "BranchRefused"),
        (O::CreateRef, "Reference update failed", Class::Invalid, "BranchRefused"),
        (O::CreatePull, "Validation Failed: No commits between main and a", Class::Invalid, "NothingToMerge"),
        (O::CreatePull, "Validation Failed: base invalid", Class::Invalid, "BaseBranchMissing"),
        (O::CreatePull, "Validation Failed: head invalid", Class::NotFound, "BranchMissing"),
        (
            O::CreatePull,
            "Draft pull requests are not supported in this repository.",
            Class::Invalid,
            "DraftsNotSupported",
        ),
        (O::CreatePull, "Validation Failed: title too long", Class::Invalid, "PullRequestRefused"),
        (O::CreateTree, "tree.path contains a malformed path component", Class::Invalid, "TreeRefused"),
        (O::CreateBlob, "too large", Class::Invalid, "BlobRefused"),
        (O::CreateRepository, "name is too long", Class::Invalid, "RepositoryRefused"),
        (O::CreateCommit, "Tree SHA does not exist", Class::Transient, reason::OBJECT_MISSING),
        (O::CreateTree, "tree.sha 11d6 is not a valid blob", Class::Transient, reason::OBJECT_MISSING),
        (O::CreateCommit, "Invalid request.", Class::Invalid, "Refused"),
    ] {
        expect(operation, 422, said, class, reason);
    }
}

#[test]
fn a_merge_that_github_does_not_do_is_a_state() {
    let said = "Pull Request is not mergeable";
    let not_mergeable = Verdict::State(State::NotMergeable { message: said.to_owned() });
    assert_eq!(verdict(O::MergePull, 405, said), not_mergeable);
    let head = "Head branch was modified. Review and try the merge again.";
    assert_eq!(verdict(O::MergePull, 409, head), Verdict::State(State::HeadChanged));
    let by_rule = "Required status check \"ci\" is expected. Protected branch rules not satisfied.";
    assert_eq!(
        verdict(O::MergePull, 405, by_rule),
        Verdict::State(State::NotMergeable { message: by_rule.to_owned() })
    );
}

#[test]
fn redirects_and_unchanged_answers_are_states() {
    let moved = Refusal { moved_to: Some(7), ..refusal(301, "Moved Permanently") };
    assert_eq!(classify(O::GetRef, &moved, "", false), Verdict::State(State::Moved { id: Some(7) }));
    assert_eq!(verdict(O::SyncPulls, 304, ""), Verdict::State(State::NotModified));
    let error = State::Moved { id: Some(7) }.unexpected(O::CreateRef);
    assert_eq!((error.class, error.reason), (Class::Transient, "RepositoryMoved"));
}

#[test]
fn the_same_failure_gives_the_same_text_whatever_the_other_side_adds() {
    let one = failed(verdict(O::CreateTree, 502, "<html>request 1</html>"));
    let two = failed(verdict(O::CreateTree, 502, "<html>request 2</html>"));
    assert_eq!(one, two);
}
