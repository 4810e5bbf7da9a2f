//! Reads the recordings in `golden/e2b/`: what was asked with curl, and what a real envd answered.
//! Used by `e2b_golden.rs`.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::Value;

/// One exchange of the recording.
#[derive(Debug)]
pub struct Exchange {
    /// Curl's arguments, or the name of a process.
    pub title: String,
    pub status: u16,
    pub headers: BTreeMap<String, Vec<String>>,
    pub body: String,
    /// The frames of a stream.
    pub frames: Vec<(u8, Value)>,
}

/// The exchanges of the recording with envd alone.
pub fn exchanges(raw: &str) -> Vec<Exchange> {
    let (envd, _) = raw.split_once("=== SDK against real envd").expect("the SDK's part");
    let envd = envd.replace("=== init with token\n", "").replace("/sbx/", "/tmp/");
    envd.split("### ").filter(|section| !section.trim().is_empty()).map(exchange).collect()
}

fn exchange(section: &str) -> Exchange {
    let (title, answer) = section.split_once('\n').expect("a title");
    let mut lines = answer.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status line");
    let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut body = Vec::new();
    let mut in_body = false;
    for line in lines {
        match line.split_once(": ") {
            _ if in_body || line.starts_with("    (") => body.push(line),
            Some((name, value)) => headers.entry(name.to_lowercase()).or_default().push(value.to_owned()),
            None => in_body = true,
        }
    }
    let frame = |line: &&str| {
        let (flags, payload) = line.trim().strip_prefix('(')?.strip_suffix("')")?.split_once(", '")?;
        // Python's form of the text.
        let payload = payload.replace("\\'", "'").replace("\\\\", "\\");
        Some((flags.parse().ok()?, serde_json::from_str(&payload).ok()?))
    };
    Exchange {
        title: title.trim().to_owned(),
        status: status.parse().expect("a number"),
        headers,
        frames: body.iter().filter_map(frame).collect(),
        body: body.join("\n"),
    }
}

/// A request as curl's arguments describe it. They are separated by spaces and not quoted.
pub struct Curl {
    pub method: Method,
    pub headers: Vec<(String, String)>,
    pub body: Option<String>,
    pub form: bool,
    pub target: String,
}

pub fn curl(title: &str) -> Curl {
    let (options, url) = title.rsplit_once("http://127.0.0.1:49983").expect("a URL");
    let mut curl = Curl {
        method: Method::GET,
        headers: Vec::new(),
        body: None,
        form: false,
        target: url.split(" -o ").next().expect("a target").to_owned(),
    };
    let mut parameters = Vec::new();
    // `-G` has no value: the parameters that follow say the same.
    let mut words = format!(" {options}").replace(" -G ", " ");
    for option in ["-X", "-H", "-d", "-F", "-I", "--data-binary", "--data-urlencode"] {
        words = words.replace(&format!(" {option} "), &format!("\u{0}{option}\u{1}"));
    }
    for word in words.split('\u{0}').filter(|word| !word.trim().is_empty()) {
        let (option, value) = word.split_once('\u{1}').expect("an option");
        let value = value.trim();
        match option {
            "-X" => curl.method = value.parse().expect("a method"),
            "-I" => curl.method = Method::HEAD,
            "-H" => {
                let (name, value) = value.split_once(": ").expect("a header");
                curl.headers.push((name.to_owned(), value.to_owned()));
            }
            "-d" | "--data-binary" => curl.body = Some(value.to_owned()),
            "-F" => curl.form = true,
            "--data-urlencode" => parameters.push(value.split_once('=').expect("a parameter")),
            _ => {}
        }
    }
    if !parameters.is_empty() {
        let query = reqwest::Url::parse_with_params("http://host/", parameters).expect("a query");
        curl.target = format!("{}?{}", curl.target, query.query().expect("a query"));
    }
    curl
}

/// The JSON objects in a recorded line of raw bytes.
pub fn objects(line: &str) -> Vec<Value> {
    let bytes = line.split_once(" b'").expect("bytes").1;
    let starts = bytes.match_indices('{').map(|(at, _)| at);
    let mut after = 0;
    let mut objects = Vec::new();
    for start in starts {
        if start < after {
            continue;
        }
        let mut stream = serde_json::Deserializer::from_str(&bytes[start..]).into_iter::<Value>();
        if let Some(Ok(object)) = stream.next() {
            after = start + stream.byte_offset();
            objects.push(object);
        }
    }
    objects
}
