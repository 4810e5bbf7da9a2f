//! A repository that holds a lot before anything starts, and scripts beside the stand-ins.
//! Part of `support`.

use super::world::{World, repository};
use anyhow::{Result, ensure};

/// Makes `acme/app` with one commit of what the script prints for `git fast-import` behind the commit's own lines, then starts the
/// controller and waits until the Repository is ready.
pub async fn filled_repository(world: &mut World, files: &str) -> Result<()> {
    let new = slipway_simulator::github::NewRepository {
        owner: "acme".to_owned(),
        name: "app".to_owned(),
        ..Default::default()
    };
    world.simulator.github.create_repository(&new).map_err(|refused| anyhow::anyhow!("{refused:?}"))?;
    let bare =
        world.simulator.github.git_dir("acme/app").map_err(|refused| anyhow::anyhow!("{refused:?}"))?;
    let fill = format!(
        "{{ printf 'commit refs/heads/main\\ncommitter A <a@b> 1700000000 +0000\\ndata 1\\nx\\n'; {files}; }} |
         git -c safe.directory='*' -C {} fast-import --quiet --force",
        bare.display()
    );
    sh(&fill).await?;
    world.start_controller()?;
    world.synced().await?;
    world.apply(&repository("app")).await?;
    world
        .repository("app", "ready", |app| app.status.as_ref().is_some_and(|s| s.repository_id.is_some()))
        .await?;
    Ok(())
}

/// Runs a script that must succeed.
pub async fn sh(script: &str) -> Result<()> {
    let output = tokio::process::Command::new("sh").args(["-c", script]).output().await?;
    ensure!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
