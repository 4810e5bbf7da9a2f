//! An App with an installation, calls as either of them, and what they are answered.
//! Used by the tests of Apps, beside `support`.

use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};
use slipway_simulator::github::{
    App, Installation, NewRepository, Permissions, RepositorySelection, TestKey,
};
use slipway_simulator::{Options, Simulator};

use crate::support::{client, simulator};

pub const APP: u64 = 4_551_400;
pub const INSTALLATION: u64 = 152_995;

pub fn permissions(pairs: &[(&str, &str)]) -> Permissions {
    pairs.iter().map(|(name, level)| ((*name).to_owned(), (*level).to_owned())).collect()
}

/// A simulator with the private repositories `acme/demo` and `acme/other`, and an App that was given the first.
pub fn installed() -> Simulator {
    installed_with(Options::default())
}

pub fn installed_with(options: Options) -> Simulator {
    let simulator = simulator(options);
    let other = NewRepository {
        owner: "acme".into(),
        name: "other".into(),
        private: true,
        ..NewRepository::default()
    };
    simulator.github.create_repository(&other).expect("acme/other is created");
    let private = json!({ "private": true });
    simulator.github.act("reviewer", &Method::PATCH, "/repos/acme/demo", private).expect("private");
    let asks = permissions(&[("contents", "write"), ("pull_requests", "write"), ("checks", "read")]);
    let public_keys = vec![TestKey::One.public_pem()];
    let app = App { id: APP, slug: "slipway".into(), public_keys, permissions: asks };
    simulator.github.add_app(app).expect("an App");
    let installation = Installation {
        id: INSTALLATION,
        app_id: APP,
        account: "acme".into(),
        repository_selection: RepositorySelection::Selected,
        repositories: vec!["demo".into()],
        ..Installation::default()
    };
    simulator.github.install(&installation).expect("installed");
    simulator
}

/// An answer as a whole.
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Reply {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// Status and message.
pub fn say(reply: &Reply) -> (u16, &str) {
    (reply.status.as_u16(), reply.body["message"].as_str().unwrap_or_default())
}

pub async fn send(
    simulator: &Simulator,
    method: Method,
    path: &str,
    token: Option<&str>,
    body: Value,
) -> Reply {
    let request = client().request(method, format!("{}{path}", simulator.github_url()));
    let request = token.into_iter().fold(request, reqwest::RequestBuilder::bearer_auth);
    let request = if body.is_null() { request } else { request.json(&body) };
    let answer = request.send().await.expect("an answer");
    let (status, headers) = (answer.status(), answer.headers().clone());
    let text = answer.text().await.expect("a body");
    Reply { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::Null) }
}

/// Claims of a JWT, from and to so many seconds after now.
pub fn claims(simulator: &Simulator, iss: &Value, from: i64, to: i64) -> Value {
    let now = simulator.clock.now().as_second();
    json!({ "iss": iss, "iat": now + from, "exp": now + to })
}

pub async fn as_app(simulator: &Simulator, method: Method, path: &str, body: Value) -> Reply {
    let jwt = TestKey::One.jwt(&claims(simulator, &json!(APP), -60, 540));
    send(simulator, method, path, Some(&jwt), body).await
}

/// Asks for a token of the installation.
pub async fn mint(simulator: &Simulator, body: Value) -> Reply {
    let path = format!("/app/installations/{INSTALLATION}/access_tokens");
    as_app(simulator, Method::POST, &path, body).await
}

pub async fn token_of(simulator: &Simulator, body: Value) -> String {
    let reply = mint(simulator, body).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{:?}", reply.body);
    reply.body["token"].as_str().expect("a token").to_owned()
}
