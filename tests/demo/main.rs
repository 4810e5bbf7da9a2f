//! `make demo`: the whole story on loopback, told as it happens from what the API server says.
//! Uses `tests/controlplane` and `tests/world`; ends with 0 only if all of it was seen.

#[path = "../controlplane/mod.rs"]
mod controlplane;
#[path = "../world/mod.rs"]
mod world;

use anyhow::{Context as _, Result, ensure};
use controlplane::{ControlPlane, Options, User};
use slipway_simulator::github::MergeMethod;
use std::{
    path::{Path, PathBuf},
    time::Instant,
};
use world::{
    World,
    story::{Story, say},
};

#[tokio::main]
async fn main() -> Result<()> {
    let started = Instant::now();
    let story = async {
        let world = prepare(started).await?;
        tell(&world, started).await.with_context(|| world.logs())?;
        anyhow::Ok(world)
    };
    let world = tokio::select! {
        world = story => world?,
        _ = tokio::signal::ctrl_c() => {
            println!("\ninterrupted: everything is stopped");
            // Every process was started to die with this one.
            std::process::exit(130);
        }
    };
    println!("\nThe whole story was seen in the API server, in {:.0} s.", started.elapsed().as_secs_f32());
    if std::env::var_os("KEEP").is_some_and(|keep| !keep.is_empty() && keep != "0") {
        keep(&world).await?;
    }
    Ok(())
}

/// Starts control plane, stand-ins, operator and receiver.
async fn prepare(started: Instant) -> Result<World> {
    say(started, "starting etcd, kube-apiserver and kube-controller-manager on loopback");
    let options = Options { crds: vec![repository_root().join("crds")], ..Options::default() };
    // Lives as long as the process: the children die with it.
    let plane: &'static ControlPlane = Box::leak(Box::new(ControlPlane::start(options).await?));
    say(started, "starting the stand-ins for GitHub and E2B, the operator and the receiver");
    let options =
        world::Options { namespace: "demo", write_interval: "500ms", secrets: false, ..Default::default() };
    World::start(plane, &operator()?, options).await
}

/// The three Tasks.
async fn tell(world: &World, started: Instant) -> Result<()> {
    let story = Story::watch(&world.client, &world.namespace, started);
    for sample in ["secrets.yaml", "repository.yaml", "task.yaml"] {
        apply(world, started, sample).await?;
    }
    story.repository("greeting").await?;
    world.hook("acme/greeting")?;
    say(started, "GitHub        webhook of acme/greeting points at the receiver");
    let number = story.review("greet").await?;
    say(started, &format!("a person      merges pull request #{number} at GitHub"));
    merge(world, number)?;
    story.done("greet").await?;
    story.delivered("greet", number).await?;

    println!();
    apply(world, started, "sandbox.yaml").await?;
    let lost = story.generating("farewell").await?;
    say(started, &format!("E2B           loses sandbox {lost} with all its files"));
    anyhow::ensure!(world.simulator.e2b.kill(&lost).await, "the stand-in does not know sandbox {lost}");
    story.replaced("farewell", &lost).await?;
    let number = story.review("farewell").await?;
    say(started, &format!("a person      merges pull request #{number} at GitHub"));
    merge(world, number)?;
    story.done("farewell").await?;

    println!();
    converse(world, &story, started).await?;
    println!("\n$ kubectl get swtask,swbox,swrepo");
    print!("{}", world.kubectl(&["get", "swtask,swbox,swrepo"]).await?);
    files(world).await
}

/// A third Task works on what the first two have made, and answers a reviewer.
async fn converse(world: &World, story: &Story, started: Instant) -> Result<()> {
    apply(world, started, "checkout.yaml").await?;
    let number = story.review("rename").await?;
    let words = "Good. Please say it in German too.";
    say(started, &format!("a person      asks for a change in review of #{number}: {words}"));
    let review = world.simulator.github.review("reviewer", "acme/greeting", number, "REQUEST_CHANGES", words);
    review.map_err(|refused| anyhow::anyhow!("the review was refused: {refused:?}"))?;
    let wish = "please answer the review";
    say(started, &format!("$ kubectl annotate swtask rename slipway.dev/rerun={wish:?}"));
    world.kubectl(&["annotate", "swtask", "rename", &format!("slipway.dev/rerun={wish}")]).await?;
    story.round("rename", 2).await?;
    let pull = world.simulator.github.pull("acme/greeting", number);
    let commits = pull.map_err(|refused| anyhow::anyhow!("{refused:?}"))?["commits"].clone();
    ensure!(commits == 2, "pull request #{number} has {commits} commits");
    say(started, &format!("GitHub        pull request #{number} has a second commit"));
    say(started, &format!("a person      merges pull request #{number} at GitHub"));
    merge(world, number)?;
    story.done("rename").await
}

fn merge(world: &World, number: u64) -> Result<()> {
    let merged = world.simulator.github.merge("acme/greeting", number, MergeMethod::Merge);
    merged.map(drop).map_err(|refused| anyhow::anyhow!("the merge was refused: {refused:?}"))
}

/// The merged branch holds what was generated.
async fn files(world: &World) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let source = world.simulator.github.git_dir("acme/greeting").map_err(|e| anyhow::anyhow!("{e:?}"))?;
    let clone = tokio::process::Command::new("git")
        .args(["clone", "--quiet"])
        .arg(source)
        .arg(dir.path())
        .status()
        .await?;
    ensure!(clone.success(), "git clone of the merged branch failed");
    let test = tokio::process::Command::new(dir.path().join("tests/greet_test.sh")).output().await?;
    ensure!(test.status.success(), "the generated tests fail in the clone");
    println!(
        "\n$ git clone acme/greeting && tests/greet_test.sh\n{}",
        String::from_utf8_lossy(&test.stdout).trim_end()
    );
    for (path, what) in [
        ("bin/greet", "executable"),
        ("docs/index.md", "symlink"),
        ("docs/boat.png", "picture"),
        ("bin/goodbye", "renamed by the third Task"),
        ("bin/auf-wiedersehen", "a reviewer's wish"),
    ] {
        ensure!(dir.path().join(path).exists(), "{path} ({what}) did not arrive");
    }
    for path in ["bin/farewell", "docs/draft.md"] {
        ensure!(!dir.path().join(path).exists(), "{path} is still there");
    }
    Ok(())
}

async fn apply(world: &World, started: Instant, sample: &str) -> Result<()> {
    say(started, &format!("$ kubectl apply -f deploy/samples/{sample}"));
    let path = repository_root().join("deploy/samples").join(sample);
    for line in world.kubectl(&["apply", "-f", &path.display().to_string()]).await?.lines() {
        println!("         {line}");
    }
    Ok(())
}

/// Leaves everything running until Ctrl-C.
async fn keep(world: &World) -> Result<()> {
    let kubectl = controlplane::Binaries::find()?.kubectl;
    println!("\nEverything is left running. In another terminal:\n");
    println!("  export KUBECONFIG={}", world.plane.kubeconfig(&User::Admin)?.display());
    println!("  alias kubectl='{} -n {}'", kubectl.display(), world.namespace);
    println!("  kubectl get swtask,swbox,swrepo -o wide");
    println!("  kubectl describe swtask greet");
    println!("  kubectl explain swtask.spec");
    println!(
        "  git clone {}",
        world.simulator.github.git_dir("acme/greeting").map_err(|e| anyhow::anyhow!("{e:?}"))?.display()
    );
    println!("  curl -s {}/state", world.simulator.control_url());
    println!("  curl -s {}/health", world.webhook_url().replace("/github", ""));
    println!("\nCtrl-C ends it.");
    tokio::signal::ctrl_c().await?;
    Ok(())
}

fn repository_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The operator, built beside this program.
fn operator() -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    let binary = here.parent().and_then(Path::parent).context("target directory")?.join("slipway");
    anyhow::ensure!(
        binary.exists(),
        "{} is missing: build it with `cargo build --bin slipway`",
        binary.display()
    );
    Ok(binary)
}
