use super::*;
use Operation as O;

fn refusal(status: u16, message: &str) -> Refusal {
    Refusal { status, message: message.to_owned(), ..Refusal::default() }
}

fn verdict(operation: O, status: u16, message: &str) -> Verdict {
    classify(call(operation, false), &refusal(status, message))
}

fn call(operation: O, just_made: bool) -> RefusedCall<'static> {
    RefusedCall { just_made, ..RefusedCall::new(operation, "acme/app") }
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

/// The storage of git LFS is another server: what it refuses is not about the token.
fn at_github() -> impl Iterator<Item = O> {
    O::ALL.iter().copied().filter(|operation| !matches!(operation, O::LfsUpload | O::LfsVerify))
}

#[test]
fn what_may_pass_is_transient_for_every_operation() {
    for &operation in O::ALL {
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
    for operation in at_github() {
        let wait = |refusal: &Refusal| match classify(call(operation, true), refusal) {
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
    for operation in at_github() {
        expect(operation, 401, "Bad credentials", Class::Denied, "BadCredentials");
        if operation == O::BlobExists {
            // An answer to HEAD says nothing.
            continue;
        }
        let said = "Resource not accessible by personal access token";
        expect(operation, 403, said, Class::Denied, "PermissionMissing");
        let (_, _, text) = failed(verdict(operation, 403, said));
        assert!(text.contains(operation.permission()) && text.contains(said), "{text}");
    }
    let accepted = Refusal {
        accepted_permissions: Some("contents=write; workflows=write".to_owned()),
        ..refusal(403, "Resource not accessible by integration")
    };
    let (_, _, text) = failed(classify(call(O::CreateRef, false), &accepted));
    assert!(text.contains("contents=write; workflows=write"), "{text}");
}

#[test]
fn within_a_minute_of_our_own_creation_a_404_is_lag() {
    for operation in at_github().filter(|operation| *operation != O::CreateInstallationToken) {
        let (class, reason, _) = failed(classify(call(operation, true), &refusal(404, "Not Found")));
        assert_eq!((class, reason), (Class::Transient, "NotVisibleYet"), "{operation:?}");
    }
    for (operation, said) in
        [(O::CreatePull, "Validation Failed: head invalid"), (O::UpdateRef, "Reference does not exist")]
    {
        let (class, reason, _) = failed(classify(call(operation, true), &refusal(422, said)));
        assert_eq!((class, reason), (Class::Transient, "NotVisibleYet"), "{operation:?}");
    }
}

#[test]
fn redirects_and_unchanged_answers_are_states() {
    let moved = Refusal { moved_to: Some(7), ..refusal(301, "Moved Permanently") };
    assert_eq!(classify(call(O::GetRef, false), &moved), Verdict::State(State::Moved { id: Some(7) }));
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
