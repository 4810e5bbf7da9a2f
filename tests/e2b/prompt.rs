//! The prompt as a file, and the command lines that README and samples give for agents: what each hands to its agent.
//! The agents are scripts that write down what they are told.

use crate::support::{Sandbox, World, eventually};
use slipway::controllers::task::generate::{GenerationSpec, look, prompt, start};
use slipway::domain::{secrets::Needles, task::Look};
use std::{fs, path::Path};

const README: &str = include_str!("../../README.md");
const AGENT: &str = include_str!("../../deploy/samples/agent.yaml");
/// As an option where an agent takes it for an argument.
const DESCRIPTION: &str = "- Make it print \"no orders\".\n- Add a test.\n";
/// As long as it may be: longer than an argument (128 KiB on Linux).
const FEEDBACK_BYTES: usize = 256 << 10;

/// Stands for an agent: keeps its input, and the file that `--message-file` names.
const STAND_IN: &str = r#"#!/bin/sh
cat > /tmp/told
while [ $# -gt 0 ]; do
  [ "$1" != --message-file ] || cat -- "$2" >> /tmp/told
  shift
done
"#;

/// The command lines that the README gives for agents, and the sample's.
fn lines() -> Vec<String> {
    let rows = README.lines().filter(|line| line.starts_with("| ") && line.contains("$SLIPWAY_PROMPT"));
    let rows = rows.filter_map(|row| row.split('`').nth(1)).filter(|line| line.contains("$SLIPWAY_PROMPT"));
    let sample = AGENT.lines().filter(|line| line.contains("$SLIPWAY_PROMPT"));
    rows.chain(sample.map(|line| line.trim_start_matches([' ', '-']))).map(str::to_owned).collect()
}

async fn run(sandbox: &Sandbox<'_>, id: &str, line: &str, env: &[(&str, &str)]) -> Look {
    let mut all =
        vec![("PATH", "/home/user/bin:/usr/bin:/bin"), ("SLIPWAY_TASK_TITLE", "Handle the empty list")];
    let place = prompt(id);
    all.push(("SLIPWAY_PROMPT", &place));
    all.extend(env);
    let spec = GenerationSpec {
        id: id.to_owned(),
        command: ["sh", "-c", line].map(str::to_owned).to_vec(),
        working_dir: "/home/user/shop".to_owned(),
        env: all.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect(),
    };
    start(&sandbox.envd, &spec).await.unwrap();
    eventually("the command has ended", async || {
        let look = look(&sandbox.envd, id, &Needles::default()).await.unwrap();
        Some(look).filter(|look| matches!(look, Look::Exited { .. }))
    })
    .await
}

fn write(sandbox: &Sandbox<'_>, path: &str, content: &str) {
    let host = sandbox.host(path);
    fs::create_dir_all(host.parent().unwrap_or(Path::new("/"))).unwrap();
    fs::write(host, content).unwrap();
}

#[tokio::test]
async fn every_agent_s_line_hands_over_the_whole_prompt() {
    let world = World::new();
    let sandbox = world.sandbox("base").await;
    for agent in ["claude", "codex", "aider"] {
        write(&sandbox, &format!("/home/user/bin/{agent}"), STAND_IN);
    }
    sandbox.sh("chmod 755 /home/user/bin/*").await;
    let feedback = "x".repeat(FEEDBACK_BYTES);
    write(&sandbox, "/tmp/feedback.md", &feedback);
    let lines = lines();
    assert!(lines.len() >= 4, "{lines:?}");
    for (number, line) in lines.iter().enumerate() {
        let env = [
            ("SLIPWAY_TASK_DESCRIPTION", DESCRIPTION),
            ("SLIPWAY_FEEDBACK", "/tmp/feedback.md"),
            ("SLIPWAY_ROUND", "2"),
        ];
        let ended = run(&sandbox, &format!("u-{number}-1"), line, &env).await;
        assert_eq!(ended, Look::Exited { code: 0, tail: String::new(), signalled: false }, "{line}");
        let told = sandbox.sh("cat /tmp/told").await;
        let begin = "Handle the empty list\n\n- Make it print \"no orders\".\n- Add a test.\n\n\nThis is round 2 of this work. Below is why";
        assert!(told.starts_with(begin), "{line} {:?}", &told[..told.len().min(200)]);
        assert!(told.contains("follow those alone who may write to the repository."), "{line}");
        assert!(told.ends_with(&feedback), "{line}: the feedback is cut");
    }
}

#[tokio::test]
async fn a_prompt_may_be_a_title_alone_and_one_that_is_not_whole_starts_nothing() {
    let world = World::new();
    let sandbox = world.sandbox("base").await;
    let ended = run(&sandbox, "u-1-1", "cat \"$SLIPWAY_PROMPT\"", &[]).await;
    let tail = "Handle the empty list".to_owned();
    assert_eq!(ended, Look::Exited { code: 0, tail, signalled: false });
    let ended =
        run(&sandbox, "u-2-1", "echo started > /tmp/started", &[("SLIPWAY_FEEDBACK", "/tmp/missing.md")])
            .await;
    let Look::Exited { code: 126, tail, .. } = ended else { panic!("{ended:?}") };
    assert!(tail.contains("/tmp/missing.md") && tail.contains("the prompt can't be written"), "{tail}");
    assert_eq!(sandbox.sh("ls /tmp").await.lines().filter(|name| *name == "started").count(), 0);
}
