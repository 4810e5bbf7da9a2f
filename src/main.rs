fn main() -> anyhow::Result<()> {
    print!("{}", slipway::api::crds::yaml()?);
    Ok(())
}
