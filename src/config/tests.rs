//! Every wrong value is refused with its name, the value and what is allowed.
//! Beside `config`.

use super::*;
use secrecy::ExposeSecret;

fn none(_: &str) -> Option<String> {
    None
}

fn controller(flags: &[&str]) -> Result<Controller, Error> {
    let arguments = ["slipway", "controller"].iter().chain(flags).copied();
    match Arguments::try_parse_from(arguments).expect("the flags exist").command {
        Command::Controller(arguments) => arguments.validate(&none),
        other => panic!("not a controller: {other:?}"),
    }
}

fn webhook(flags: &[&str], environment: Environment<'_>) -> Result<Webhook, Error> {
    let arguments = ["slipway", "webhook"].iter().chain(flags).copied();
    match Arguments::try_parse_from(arguments).expect("the flags exist").command {
        Command::Webhook(arguments) => arguments.validate(environment),
        other => panic!("not a webhook: {other:?}"),
    }
}

#[test]
fn defaults_are_the_documented_ones() {
    let config = controller(&[]).expect("valid");
    assert_eq!(config.github_api_url, "https://api.github.com");
    assert_eq!(config.e2b_endpoints.api_url.as_str(), "https://api.e2b.app/");
    assert_eq!(config.ops_listen, Listen::Anywhere(8080));
    assert!(config.ca_bundle.is_none());
    let line = line::Settings { interval: Duration::from_secs(1), per_minute: 80, per_hour: 500 };
    assert_eq!(config.github_line, line);
    assert_eq!((config.spool_dir.to_str(), config.spool_bytes), (Some("/tmp/slipway"), 1 << 30));
    let caps = Caps {
        max_files: 5000,
        max_file_bytes: 50 << 20,
        max_total_bytes: 256 << 20,
        max_checkout_bytes: 1 << 30,
    };
    assert_eq!(config.caps, caps);
    assert!(config.installation.is_none() && config.cluster.namespace.is_none());
    let webhook = webhook(&[], &none).expect("valid");
    assert_eq!(webhook.listen, Listen::Anywhere(3000));
    assert_eq!(webhook.ops_listen, Listen::Anywhere(8081));
    assert_eq!(webhook.max_body_bytes, 5 << 20);
}

#[test]
fn units_are_read() {
    let config =
        controller(&["--github-write-interval", "500ms", "--spool-bytes", "2Gi", "--max-file-bytes", "4096"]);
    let config = config.expect("valid");
    assert_eq!(config.github_line.interval, Duration::from_millis(500));
    assert_eq!((config.spool_bytes, config.caps.max_file_bytes), (2 << 30, 4096));
}

#[test]
fn a_trailing_slash_of_a_base_url_is_dropped_and_its_path_kept() {
    let config = controller(&["--github-api-url", "https://ghe.example/api/v3/"]).expect("valid");
    assert_eq!(config.github_api_url, "https://ghe.example/api/v3");
}

#[test]
fn github_itself_is_where_its_api_is_or_beside_it() {
    for (api, server) in [
        ("https://api.github.com", "https://github.com"),
        ("https://api.octocorp.ghe.com/", "https://octocorp.ghe.com"),
        ("https://ghe.example/api/v3/", "https://ghe.example"),
        ("https://api.example:8443/api/v3", "https://api.example:8443"),
        ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
    ] {
        let flags = ["--github-api-url", api];
        assert_eq!(controller(&flags).expect("valid").github_server_url, server);
        let host = server.split("://").nth(1);
        assert_eq!(Some(webhook(&flags, &none).expect("valid").github_host.as_str()), host);
    }
    let flags =
        ["--github-api-url", "https://proxy.example/github", "--github-server-url", "https://ghe.example/"];
    assert_eq!(controller(&flags).expect("valid").github_server_url, "https://ghe.example");
    assert_eq!(webhook(&flags, &none).expect("valid").github_host, "ghe.example");
}

#[test]
fn wrong_values_are_named_with_what_is_allowed() {
    let cases = [
        ("github-api-url", "ftp://x", "GITHUB_API_URL", "http or https URL"),
        ("github-api-url", "https://user:pw@x", "GITHUB_API_URL", "without credentials"),
        ("github-server-url", "github.com", "GITHUB_SERVER_URL", "http or https URL"),
        ("e2b-api-url", "api.e2b.app", "E2B_API_URL", "http or https URL"),
        ("e2b-sandbox-url", "unix:/x", "E2B_SANDBOX_URL", "http or https URL"),
        ("installation", "a b", "SLIPWAY_INSTALLATION", "letters, digits"),
        ("namespace", "A,B", "SLIPWAY_NAMESPACE", "one namespace"),
        ("ca-bundle", "ca.crt", "SLIPWAY_CA_BUNDLE", "absolute path"),
        ("webhook-url", "https://hooks.example.com/path", "SLIPWAY_WEBHOOK_URL", "without a path"),
        ("ops-listen", "8080", "SLIPWAY_OPS_LISTEN", "0.0.0.0:8080"),
        ("github-write-interval", "1", "SLIPWAY_GITHUB_WRITE_INTERVAL", "1s or 500ms"),
        ("github-write-interval", "2m", "SLIPWAY_GITHUB_WRITE_INTERVAL", "0 s to 60 s"),
        ("github-content-per-minute", "1.5", "SLIPWAY_GITHUB_CONTENT_PER_MINUTE", "0 for no bound"),
        ("github-content-per-hour", "all", "SLIPWAY_GITHUB_CONTENT_PER_HOUR", "1 to 100000"),
        ("spool-dir", "spool", "SLIPWAY_SPOOL_DIR", "absolute path"),
        ("spool-bytes", "1GB", "SLIPWAY_SPOOL_BYTES", "1GiB"),
        ("spool-bytes", "99999999999GiB", "SLIPWAY_SPOOL_BYTES", "1GiB"),
        ("max-checkout-bytes", "1GB", "SLIPWAY_MAX_CHECKOUT_BYTES", "1GiB"),
        ("max-files", "0", "SLIPWAY_MAX_FILES", "1 to 100000"),
        ("max-file-bytes", "200MiB", "SLIPWAY_MAX_FILE_BYTES", "to 104857600 bytes"),
        ("max-total-bytes", "2GiB", "SLIPWAY_MAX_TOTAL_BYTES", "at most SLIPWAY_SPOOL_BYTES"),
    ];
    for (flag, value, variable, allowed) in cases {
        let error = controller(&[&format!("--{flag}"), value]).expect_err(flag).to_string();
        assert!(error.contains(variable), "{flag}={value}: {error}");
        assert!(error.contains(value), "{flag}={value}: {error}");
        assert!(error.contains(allowed), "{flag}={value}: {error}");
    }
    for (flag, value, allowed) in
        [("webhook-max-body-bytes", "26MiB", "26214400"), ("webhook-listen", ":3000", "port")]
    {
        let error = webhook(&[&format!("--{flag}"), value], &none).expect_err(flag).to_string();
        assert!(error.contains(value) && error.contains(allowed), "{error}");
    }
    let arguments =
        Arguments::try_parse_from(["slipway", "crds", "--log-format", "xml"]).expect("the flag exists");
    let error = arguments.logs.validate().expect_err("xml").to_string();
    assert_eq!(error, r#"SLIPWAY_LOG_FORMAT (or --log-format) is "xml": it must be text or json"#);
}

#[test]
fn secrets_come_from_the_environment_and_are_never_repeated() {
    let short = |_: &str| Some("canary".to_owned());
    let error = webhook(&[], &short).expect_err("too short").to_string();
    assert!(
        error.contains("GITHUB_WEBHOOK_SECRET") && error.contains("16 bytes") && !error.contains("canary"),
        "{error}"
    );
    let long = |_: &str| Some("canary-canary-canary\n".to_owned());
    let config = webhook(&[], &long).expect("valid");
    assert_eq!(config.secret.as_ref().expect("set").expose_secret(), "canary-canary-canary");
    assert!(!format!("{config:?}").contains("canary"));
    let key = |name: &str| (name == "E2B_API_KEY").then(|| "e2b canary".to_owned());
    let arguments = Arguments::try_parse_from(["slipway", "controller"]).expect("valid");
    let Command::Controller(arguments) = arguments.command else { panic!("not a controller") };
    let error = arguments.validate(&key).expect_err("a space").to_string();
    assert!(error.contains("E2B_API_KEY") && !error.contains("canary"), "{error}");
    let empty = |_: &str| Some(String::new());
    assert!(arguments.validate(&empty).expect("unset").e2b_api_key.is_none());
}
