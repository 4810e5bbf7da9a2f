//! Apps sign in with JWTs and buy tokens for their installations; what is wrong with either is said in GitHub's words.

use std::time::Duration;

use http::{Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use slipway_simulator::Simulator;
use slipway_simulator::github::{
    App, AppManners, Installation, NewRepository, NewTokens, RepositorySelection, TestKey,
};

use crate::app_support::{
    APP, INSTALLATION, Reply, as_app, claims, installed, mint, permissions, say, send, token_of,
};
use crate::support::{DEMO, client};

async fn app(simulator: &Simulator, key: TestKey, claims: &Value) -> Reply {
    send(simulator, Method::GET, "/app", Some(&key.jwt(claims)), Value::Null).await
}

const UNREADABLE: (u16, &str) = (401, "A JSON web token could not be decoded");
const PAST: (u16, &str) = (
    401,
    "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires",
);
const FUTURE: (u16, &str) = (401, "'Expiration time' claim ('exp') is too far in the future");
const ISSUED: (u16, &str) =
    (401, "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued");
const ISSUER: (u16, &str) = (401, "'Issuer' claim ('iss') must be an Integer");

#[tokio::test]
async fn an_app_signs_in_by_its_id_or_its_client_id_and_any_of_its_keys() {
    let simulator = installed();
    let client_id = App { id: APP, ..App::default() }.client_id();
    for iss in [json!(APP), json!(APP.to_string()), json!(client_id)] {
        let reply = app(&simulator, TestKey::One, &claims(&simulator, &iss, -60, 540)).await;
        assert_eq!(
            (reply.status, &reply.body["slug"]),
            (StatusCode::OK, &json!("slipway")),
            "{:?}",
            reply.body
        );
    }
    let own = claims(&simulator, &json!(APP), -60, 540);
    assert_eq!(say(&app(&simulator, TestKey::Two, &own).await), UNREADABLE);
    let both = vec![TestKey::One.public_pem(), TestKey::Two.public_pem()];
    simulator.github.set_app_keys(APP, both).expect("set");
    assert_eq!(app(&simulator, TestKey::Two, &own).await.status, StatusCode::OK);
    // Rotation ends with the old key going.
    simulator.github.set_app_keys(APP, vec![TestKey::Two.public_pem()]).expect("set");
    assert_eq!(say(&app(&simulator, TestKey::One, &own).await), UNREADABLE);
}

#[tokio::test]
async fn what_is_wrong_with_a_jwt_is_said() {
    let simulator = installed();
    let cases = [
        (claims(&simulator, &json!(7), 0, 540), (404, "Integration not found")),
        (claims(&simulator, &json!("<App ID>"), 0, 540), ISSUER),
        (claims(&simulator, &json!(APP), -60, 660), FUTURE),
        (claims(&simulator, &json!(APP), -600, -1), PAST),
        (claims(&simulator, &json!(APP), 30, 540), ISSUED),
        (json!({ "iss": APP, "iat": 1 }), PAST),
        (json!({ "iat": 1, "exp": 2 }), ISSUER),
    ];
    for (claims, wanted) in cases {
        assert_eq!(say(&app(&simulator, TestKey::One, &claims).await), wanted, "{claims}");
    }
    let good = TestKey::One.jwt(&claims(&simulator, &json!(APP), 0, 540));
    let (signed, _) = good.rsplit_once('.').expect("three parts");
    let none = signed.replacen(signed.split('.').next().expect("a header"), "eyJhbGciOiJub25lIn0", 1);
    for token in
        [format!("{signed}.AAAA"), format!("{none}."), "gibberish".into(), "slipway-bot-token".into()]
    {
        let reply = send(&simulator, Method::GET, "/app", Some(&token), Value::Null).await;
        assert_eq!(say(&reply), UNREADABLE, "{token}");
    }
    assert_eq!(say(&send(&simulator, Method::GET, "/app", None, Value::Null).await), UNREADABLE);
    // And it opens nothing but its own routes.
    let reply = send(&simulator, Method::GET, &format!("/repos/{DEMO}"), Some(&good), Value::Null).await;
    assert_eq!(say(&reply), (401, "Bad credentials"));
}

#[tokio::test]
async fn clocks_that_differ_are_told_by_the_claims_and_the_date_of_the_answer() {
    let simulator = installed();
    let skew = |seconds| AppManners { skew_seconds: seconds, ..AppManners::default() };
    for (seconds, wanted) in [(-30, ISSUED), (-600, FUTURE), (600, PAST)] {
        simulator.github.set_app_manners(skew(seconds));
        let reply = app(&simulator, TestKey::One, &claims(&simulator, &json!(APP), 0, 540)).await;
        assert_eq!(say(&reply), wanted, "{seconds}");
        let date = jiff::fmt::rfc2822::parse(&reply.header("date").replace("GMT", "+0000")).expect("a date");
        let ahead = date.timestamp().duration_since(simulator.clock.now()).as_secs();
        assert!((ahead - seconds).abs() <= 2, "{ahead}");
    }
    simulator.github.set_app_manners(skew(0));
    simulator.clock.advance(Duration::from_hours(3));
    let behind =
        json!({ "iss": APP, "iat": Timestamp::now().as_second(), "exp": Timestamp::now().as_second() + 540 });
    assert_eq!(say(&app(&simulator, TestKey::One, &behind).await), PAST);
}

#[tokio::test]
async fn installations_are_found_by_id_and_by_repository() {
    let simulator = installed();
    let get = async |path: &str| as_app(&simulator, Method::GET, path, Value::Null).await;
    let one = get(&format!("/app/installations/{INSTALLATION}")).await;
    assert_eq!((&one.body["app_id"], &one.body["account"]["login"]), (&json!(APP), &json!("acme")));
    assert_eq!(one.body["target_type"], "Organization");
    let found = get(&format!("/repos/{DEMO}/installation")).await;
    assert_eq!(found.body, one.body);
    assert_eq!(get("/app/installations").await.body, json!([one.body]));
    for path in ["/app/installations/1", "/repos/acme/none/installation", "/repos/acme/other/installation"] {
        assert_eq!(say(&get(path).await), (404, "Not Found"), "{path}");
    }
}

#[tokio::test]
async fn a_token_has_an_hour_and_only_what_was_asked_for() {
    let simulator = installed();
    let all = mint(&simulator, Value::Null).await;
    assert_eq!(all.status, StatusCode::CREATED);
    let token = all.body["token"].as_str().expect("a token");
    assert!(token.starts_with("ghs_") && token.len() == 520, "{token}");
    let ends: Timestamp = all.body["expires_at"].as_str().expect("text").parse().expect("a time");
    let left = ends.duration_since(simulator.clock.now()).as_secs();
    assert!((3590..=3600).contains(&left), "{left}");
    assert_eq!(all.body["permissions"]["contents"], "write");
    assert_eq!(all.body["repository_selection"], "selected");
    assert!(all.body.get("repositories").is_none());

    let demo = simulator.github.act("reviewer", &Method::GET, &format!("/repos/{DEMO}"), json!({}));
    let id = demo.expect("there")["id"].clone();
    for some in [json!({ "repositories": ["demo"] }), json!({ "repository_ids": [id] })] {
        let asked = json!({ "permissions": { "checks": "read" } });
        let wish =
            [some, asked].iter().flat_map(|part| part.as_object().cloned().unwrap_or_default()).collect();
        let some = mint(&simulator, Value::Object(wish)).await;
        assert_eq!(some.body["permissions"], json!({ "checks": "read", "metadata": "read" }));
        assert_eq!(some.body["repositories"].as_array().map(Vec::len), Some(1));
        assert_eq!(some.body["repositories"][0]["full_name"], DEMO);
        assert!(some.body["repositories"][0].get("permissions").is_none());
    }
    let minted = simulator.github.minted(INSTALLATION);
    assert_eq!((minted.len(), &minted[0]["repositories"]), (3, &Value::Null));
    assert_eq!(minted[2]["repositories"], json!(["demo"]));
    assert_eq!(minted[2]["permissions"], json!({ "checks": "read", "metadata": "read" }));
    simulator.github.set_app_manners(AppManners { token_length: 40, ..AppManners::default() });
    assert_eq!(token_of(&simulator, Value::Null).await.len(), 40);
}

#[tokio::test]
async fn what_an_installation_does_not_have_is_not_minted() {
    let simulator = installed();
    let repository = "There is at least one repository that does not exist or is not accessible to the parent installation.";
    for asked in [
        json!({ "repositories": ["none"] }),
        json!({ "repositories": ["demo", "other"] }),
        json!({ "repositories": [DEMO] }),
        json!({ "repository_ids": [1] }),
    ] {
        assert_eq!(say(&mint(&simulator, asked).await), (422, repository));
    }
    let permission = "The permissions requested are not granted to this installation.";
    for asked in [json!({ "administration": "write" }), json!({ "checks": "write", "contents": "read" })] {
        let reply = mint(&simulator, json!({ "permissions": asked })).await;
        assert_eq!(say(&reply), (422, permission));
    }
    // What the App asks for later is not granted by that.
    let wider = permissions(&[("contents", "write"), ("administration", "write")]);
    let public_keys = vec![TestKey::One.public_pem()];
    let wider = App { id: APP, slug: "slipway".into(), public_keys, permissions: wider };
    simulator.github.add_app(wider).expect("replaced");
    let reply = mint(&simulator, json!({ "permissions": { "administration": "write" } })).await;
    assert_eq!(say(&reply), (422, permission));
    let path = "/app/installations/1/access_tokens";
    assert_eq!(say(&as_app(&simulator, Method::POST, path, Value::Null).await), (404, "Not Found"));
}

#[tokio::test]
async fn a_token_ends_with_its_hour_its_installation_or_its_revocation() {
    let simulator = installed();
    let read = async |token: &str| {
        send(&simulator, Method::GET, &format!("/repos/{DEMO}"), Some(token), Value::Null).await
    };
    let bad = (401, "Bad credentials");
    let token = token_of(&simulator, Value::Null).await;
    assert_eq!(read(&token).await.status, StatusCode::OK);
    simulator.clock.advance(Duration::from_mins(61));
    assert_eq!(say(&read(&token).await), bad);

    let [one, two, three] = [
        token_of(&simulator, Value::Null).await,
        token_of(&simulator, Value::Null).await,
        token_of(&simulator, Value::Null).await,
    ];
    let gone = send(&simulator, Method::DELETE, "/installation/token", Some(&one), Value::Null).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    simulator.github.revoke_token(&two);
    for (token, wanted) in [(&one, bad), (&two, bad), (&three, (200, ""))] {
        assert_eq!(say(&read(token).await), wanted);
    }
    simulator.github.suspend_installation(INSTALLATION, true).expect("suspended");
    let suspended = (403, "This installation has been suspended");
    assert_eq!(say(&read(&three).await), suspended);
    assert_eq!(say(&mint(&simulator, Value::Null).await), suspended);
    let shown =
        as_app(&simulator, Method::GET, &format!("/app/installations/{INSTALLATION}"), Value::Null).await;
    assert!(shown.body["suspended_at"].is_string());
    simulator.github.suspend_installation(INSTALLATION, false).expect("back");
    assert_eq!(read(&three).await.status, StatusCode::OK);
    simulator.github.uninstall(INSTALLATION);
    assert_eq!(say(&read(&three).await), bad);
    assert_eq!(say(&mint(&simulator, Value::Null).await), (404, "Not Found"));
}

#[tokio::test]
async fn new_tokens_may_not_be_known_everywhere_yet() {
    let simulator = installed();
    let slow = |new_tokens| AppManners { new_tokens, ..AppManners::default() };
    let read = async |token: &str| {
        send(&simulator, Method::GET, &format!("/repos/{DEMO}"), Some(token), Value::Null).await
    };
    simulator.github.set_app_manners(slow(NewTokens { seconds: 5, ..NewTokens::default() }));
    let token = token_of(&simulator, Value::Null).await;
    assert_eq!(say(&read(&token).await), (401, "Bad credentials"));
    simulator.clock.advance(Duration::from_secs(6));
    assert_eq!(read(&token).await.status, StatusCode::OK);
    simulator.github.set_app_manners(slow(NewTokens { status: 403, calls: 2, ..NewTokens::default() }));
    let token = token_of(&simulator, Value::Null).await;
    for wanted in [403, 403, 200] {
        assert_eq!(read(&token).await.status.as_u16(), wanted);
    }
}

#[tokio::test]
async fn limits_are_the_installations_whatever_the_number_of_its_tokens() {
    let simulator = installed();
    let read = async |token: &str| {
        send(&simulator, Method::GET, &format!("/repos/{DEMO}"), Some(token), Value::Null).await
    };
    let [one, two] = [token_of(&simulator, Value::Null).await, token_of(&simulator, Value::Null).await];
    assert_eq!(read(&one).await.header("x-ratelimit-used"), "1");
    assert_eq!(read(&two).await.header("x-ratelimit-used"), "2");
    let reset = simulator.clock.now() + SignedDuration::from_secs(60);
    simulator.github.set_installation_rate_limit(INSTALLATION, 1, reset);
    assert_eq!(read(&one).await.status, StatusCode::OK);
    let message = format!("API rate limit exceeded for installation ID {INSTALLATION}.");
    assert_eq!(say(&read(&two).await), (403, message.as_str()));
    // Buying one more does not help, but is no call of the installation's.
    let three = token_of(&simulator, Value::Null).await;
    assert_eq!(say(&read(&three).await), (403, message.as_str()));
    assert!(simulator.github.set_rate_limit(&three, 10, reset));
    assert_eq!(read(&one).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_control_side_does_what_an_apps_owner_does() {
    let simulator = crate::support::simulator(slipway_simulator::Options::default());
    let control = async |method: Method, path: &str, body: Value| {
        let url = format!("{}/github/{path}", simulator.control_url());
        client().request(method, url).json(&body).send().await.expect("an answer").status().as_u16()
    };
    let app = json!({
        "id": APP, "slug": "slipway", "publicKeys": [TestKey::One.public_pem()], "permissions": { "contents": "write" },
    });
    assert_eq!(control(Method::POST, "apps", app.clone()).await, 200);
    let installation = json!({
        "id": INSTALLATION, "appId": APP, "account": "acme", "repositorySelection": "selected", "repositories": ["demo"],
    });
    assert_eq!(control(Method::POST, "installations", installation).await, 200);
    assert_eq!(mint(&simulator, json!({ "repositories": ["demo"] })).await.status, StatusCode::CREATED);
    let at = format!("installations/{INSTALLATION}");
    assert_eq!(control(Method::GET, &format!("{at}/tokens"), Value::Null).await, 200);
    assert_eq!(control(Method::POST, &format!("{at}/suspend"), json!({})).await, 200);
    assert_eq!(mint(&simulator, Value::Null).await.status, StatusCode::FORBIDDEN);
    assert_eq!(control(Method::POST, &format!("{at}/unsuspend"), json!({})).await, 200);
    assert_eq!(control(Method::PUT, &format!("{at}/permissions"), json!({ "checks": "read" })).await, 200);
    assert_eq!(
        mint(&simulator, Value::Null).await.body["permissions"],
        json!({ "checks": "read", "metadata": "read" })
    );
    let none = json!({ "repositorySelection": "selected" });
    assert_eq!(control(Method::PUT, &format!("{at}/repositories"), none).await, 200);
    assert_eq!(mint(&simulator, json!({ "repositories": ["demo"] })).await.status.as_u16(), 422);
    let limit = json!({ "remaining": 0, "resetSeconds": 60 });
    assert_eq!(control(Method::POST, &format!("{at}/rate-limit"), limit).await, 200);
    let token = token_of(&simulator, Value::Null).await;
    let reply = send(&simulator, Method::GET, "/installation/repositories", Some(&token), Value::Null).await;
    assert!(say(&reply).1.starts_with("API rate limit exceeded"), "{:?}", reply.body);
    assert_eq!(control(Method::POST, "apps/manners", json!({ "tokenLength": 40 })).await, 200);
    assert_eq!(token_of(&simulator, Value::Null).await.len(), 40);
    assert_eq!(control(Method::DELETE, &at, json!({})).await, 200);
    assert_eq!(mint(&simulator, Value::Null).await.status, StatusCode::NOT_FOUND);
    let keys = json!({ "publicKeys": [TestKey::Two.public_pem()] });
    assert_eq!(control(Method::PUT, &format!("apps/{APP}/keys"), keys).await, 200);
    assert_eq!(say(&mint(&simulator, Value::Null).await), UNREADABLE);
    let wrong = json!({ "publicKeys": ["not a key"] });
    assert_eq!(control(Method::PUT, &format!("apps/{APP}/keys"), wrong).await, 422);
    assert_eq!(control(Method::POST, "apps", json!({ "id": 1, "slag": "x" })).await, 400);
}

#[tokio::test]
async fn an_installation_of_everything_has_what_comes_later() {
    let simulator = installed();
    let all = Installation { id: 9, app_id: APP, account: "acme".into(), ..Installation::default() };
    simulator.github.install(&all).expect("installed");
    let new = NewRepository { owner: "acme".into(), name: "later".into(), ..NewRepository::default() };
    simulator.github.create_repository(&new).expect("created");
    let reply = as_app(&simulator, Method::POST, "/app/installations/9/access_tokens", Value::Null).await;
    assert_eq!(reply.body["repository_selection"], "all");
    let token = reply.body["token"].as_str().expect("a token");
    let listed = send(&simulator, Method::GET, "/installation/repositories", Some(token), Value::Null).await;
    assert_eq!(listed.body["total_count"], 3);
    // Selecting fewer takes them from the tokens that are there.
    let demo = ["demo".to_owned()];
    simulator.github.select_repositories(9, RepositorySelection::Selected, &demo).expect("selected");
    let listed = send(&simulator, Method::GET, "/installation/repositories", Some(token), Value::Null).await;
    assert_eq!(
        (&listed.body["total_count"], &listed.body["repositories"][0]["full_name"]),
        (&json!(1), &json!(DEMO))
    );
}
