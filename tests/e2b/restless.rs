//! Files out of a sandbox that does not hold still, and transfers that do not come to their end.

use crate::support::{World, eventually};
use crate::transfer::{PATH, ROOM, START, caps, is_empty, source, spool, write};
use slipway::controllers::task::files::collect;
use slipway_simulator::core::{Action, Rule, When};

#[tokio::test]
async fn a_transfer_that_is_cut_off_gives_its_room_back() {
    let world = World::new();
    let sandbox = world.sandbox("base").await;
    write(&sandbox, &[("a", "12345")]);
    let (dir, spool) = spool();
    let hold = Rule::on("envd", START).when(When::Nth(2)).action(Action::Hold { after_effect: false });
    let hold = world.sim.faults.set(hold);
    {
        let source = source();
        let collecting = collect(&sandbox.envd, &source, caps(), &spool, "u-1-1");
        let asked = eventually("the archive is asked for, its room is reserved", async || {
            world.sim.faults.hits(hold).filter(|hits| *hits == 1 && spool.reserve(ROOM).is_none())
        });
        tokio::select! {
            result = collecting => panic!("the archive is held: {result:?}"),
            _ = asked => {}
        }
    }
    world.sim.faults.remove(hold);
    eventually("all the room is free again", async || spool.reserve(ROOM).map(drop)).await;
    assert!(is_empty(&dir), "{PATH} left nothing");
}
