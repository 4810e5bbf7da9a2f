use super::*;
use http::HeaderValue;
use serde_json::json;

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
        .collect()
}

fn now() -> Timestamp {
    "2026-11-25T10:00:00Z".parse().unwrap()
}

#[test]
fn branch_names_are_encoded_but_their_slashes_stay() {
    assert_eq!(encode("heads/task/a-b/ö#1%?"), "heads/task/a-b/%C3%B6%231%25%3F");
    assert_eq!(encode_query("acme:a/b&c"), "acme%3Aa%2Fb%26c");
}

#[test]
fn the_next_page_is_read_from_the_link_header() {
    let link = r#"<https://h/repositories/1/pulls?state=all&page=1>; rel="prev", <https://h/repositories/1/pulls?state=all&page=3>; rel="next""#;
    assert_eq!(linked(link, "next", "page"), Some("3"));
    assert_eq!(linked(link, "last", "page"), None);
    assert_eq!(linked(r#"<https://h/pulls?per_page=100&page=1>; rel="first""#, "next", "page"), None);
    let cursors = r#"<https://h/hooks/1/deliveries?per_page=100&cursor=v1_a%3D%3D>; rel="next""#;
    assert_eq!(linked(cursors, "next", "cursor"), Some("v1_a%3D%3D"), "as it stands there");
    assert_eq!(linked(cursors, "next", "page"), None);
}

#[test]
fn a_redirect_to_a_repository_is_read_as_its_id() {
    assert_eq!(repository_id("https://api.github.com/repositories/1300192"), Some(1_300_192));
    assert_eq!(repository_id("https://ghe/api/v3/repositories/7/pulls?x=1"), Some(7));
    assert_eq!(repository_id("https://api.github.com/repos/a/b"), None);
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    assert_eq!(retry_after("17", now()), Some(Duration::from_secs(17)));
    assert_eq!(retry_after("Wed, 25 Nov 2026 10:02:00 GMT", now()), Some(Duration::from_secs(120)));
    assert_eq!(retry_after("Wed, 25 Nov 2026 09:00:00 GMT", now()), Some(Duration::ZERO));
    assert_eq!(retry_after("soon", now()), None);
}

#[test]
fn the_reset_is_measured_on_githubs_clock_where_it_shows_one() {
    let reset = (now().as_second() + 600).to_string();
    assert_eq!(reset_in(&headers(&[("x-ratelimit-reset", &reset)]), now()), Some(Duration::from_secs(601)));
    let with_date = headers(&[("x-ratelimit-reset", &reset), ("date", "Wed, 25 Nov 2026 10:05:00 GMT")]);
    assert_eq!(reset_in(&with_date, now()), Some(Duration::from_secs(301)));
    let past = headers(&[("x-ratelimit-reset", "1")]);
    assert_eq!(reset_in(&past, now()), Some(Duration::from_secs(1)));
    assert_eq!(reset_in(&HeaderMap::new(), now()), None);
}

#[test]
fn all_three_forms_of_githubs_errors_end_up_in_the_message() {
    let body = br#"{"message":"Validation Failed","documentation_url":"https://docs.github.com/x","errors":[
        "plain",{"resource":"PullRequest","code":"custom","message":"A pull request already exists for acme:a."},
        {"resource":"PullRequest","field":"base","code":"invalid"},{"odd":1}]}"#;
    let refusal = refusal(StatusCode::UNPROCESSABLE_ENTITY, &HeaderMap::new(), body, now());
    assert_eq!(
        refusal.message,
        "Validation Failed: plain: A pull request already exists for acme:a.: base invalid"
    );
    assert_eq!(refusal.documentation_url, "https://docs.github.com/x");
}

#[test]
fn a_body_that_is_not_githubs_is_no_message() {
    let refusal = refusal(StatusCode::BAD_GATEWAY, &HeaderMap::new(), b"<html>502</html>", now());
    assert_eq!((refusal.status, refusal.message.as_str()), (502, ""));
}

#[test]
fn errors_are_read_in_every_form_in_which_they_come() {
    let said = |body: &str| {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        refusal(status, &HeaderMap::new(), body.as_bytes(), now()).message
    };
    for (body, message) in [
        (r#"{"message":"No","errors":"a word"}"#, "No: a word"),
        (r#"{"message":"No","errors":{"message":"an object"}}"#, "No: an object"),
        (r#"{"message":"No","errors":{"field":"base","code":"invalid"}}"#, "No: base invalid"),
        (r#"{"message":"No","errors":[{"code":"abuse"},null,7,[]]}"#, "No: abuse"),
        (r#"{"message":"No","errors":null}"#, "No"),
        (r#"{"message":null,"errors":["only"]}"#, "only"),
        (r#"{"errors":[]}"#, ""),
        (r#""a JSON string""#, "a JSON string"),
        ("[1]", ""),
        ("plain words", "plain words"),
        ("<html>a page</html>", ""),
        ("", ""),
    ] {
        assert_eq!(said(body), message, "{body}");
    }
}

fn status(body: &Value) -> Option<(u16, String)> {
    let refused =
        graphql_refusal(None, &HeaderMap::new(), body.to_string().as_bytes(), Timestamp::UNIX_EPOCH);
    refused.map(|refusal| (refusal.status, refusal.message))
}

#[test]
fn errors_without_data_are_refusals_as_rest_has_them() {
    let said = |kind: Value| {
        status(&json!({"data": {"repository": null}, "errors": [{"type": kind, "message": "m"}]}))
    };
    for (kind, expected) in [
        ("RATE_LIMIT", 429),
        ("NOT_FOUND", 404),
        ("FORBIDDEN", 403),
        ("INSUFFICIENT_SCOPES", 403),
        ("RATE_LIMITED", 429),
        ("SERVICE_UNAVAILABLE", 503),
        ("UNPROCESSABLE", 422),
    ] {
        assert_eq!(said(json!(kind)), Some((expected, "m".to_owned())), "{kind}");
    }
    assert_eq!(said(Value::Null).map(|(status, _)| status), Some(422));
    for (words, expected) in [
        ("Something went wrong while executing your query.", 502),
        ("API rate limit already exceeded for user ID 1.", 429),
        ("beforeOid does not match", 422),
    ] {
        let untyped = json!({"data": null, "errors": [{"message": "m"}, {"message": words}]});
        assert_eq!(status(&untyped).map(|(status, _)| status), Some(expected), "{words}");
    }
    let secondary = json!({"message": "You have exceeded a secondary rate limit.", "documentation_url": "d"});
    assert_eq!(status(&secondary).map(|(status, _)| status), Some(429));
    assert_eq!(status(&json!({"message": "Resource not accessible"})).map(|(status, _)| status), Some(403));
    let invalid = json!({"errors": [{"message": "m", "extensions": {"code": "undefinedField"}}]});
    assert_eq!(status(&invalid).map(|(status, _)| status), Some(422));
    let partly = json!({"data": {"repository": {"id": "R_1"}}, "errors": [{"type": "FORBIDDEN"}]});
    assert_eq!(status(&partly), None);
    let asked = |answer: Value| {
        let body = answer.to_string();
        let pointer = Some("/repository/pullRequest");
        graphql_refusal(pointer, &HeaderMap::new(), body.as_bytes(), now()).map(|refusal| refusal.status)
    };
    let nothing = json!({"data": {"repository": {"pullRequest": null}}, "errors": [{"type": "NOT_FOUND"}]});
    assert_eq!((asked(nothing.clone()), status(&nothing)), (Some(404), None), "by what was asked for");
    assert_eq!(asked(json!({"data": {"repository": {"pullRequest": {"id": "PR_1"}}}})), None);
    let not_json = graphql_refusal(None, &HeaderMap::new(), b"<html>", Timestamp::UNIX_EPOCH);
    assert!(not_json.is_none(), "it is read as an answer that nobody can read");
}
