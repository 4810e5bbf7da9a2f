//! What is decided about Tasks, held against a small world that is nothing but data: its GitHub, E2B and cluster
//! answer what is looked at and change as steps say.

mod answers;
mod board;
mod carried;
mod checkout;
mod checks;
mod deadline;
mod deletion;
mod drive;
mod edits;
mod effects;
mod events;
mod failures;
mod faults;
mod feedback;
mod generation;
mod github;
mod give_back;
mod invariants;
mod ledger;
mod merge;
mod on_open;
mod others;
mod parts;
mod publish;
mod queue;
mod queue_exits;
mod queue_rounds;
mod queues;
mod requirements;
mod rounds;
mod secrets;
mod stuck;
mod suspend;
mod template;
mod turns;
mod views;
mod walk;
mod way;
mod world;

use super::*;
use crate::{
    api::{Task, TaskStatus, conditions as names},
    domain::{
        board::{BUILDING, DONE, FAILED_EARLY, FAILED_LATE, NOTHING_CHANGED, PENDING as NEW, REVIEW, Row},
        conditions::{find, is_true},
        dice,
    },
};
use jiff::Timestamp;
use world::World;

/// The plan where the command is looked at and seen like this.
fn looked(world: &World, look: Look, now: Timestamp) -> Plan {
    match locate(&world.task, &world.context(), now) {
        Position::Generation(asked) => decide(&world.task, asked.answered(Ok(look)), now),
        other => panic!("no look at the command: {other:?}"),
    }
}

/// The plan where files are read and come this far.
fn collected(world: &World, files: Files) -> Plan {
    match locate(&world.task, &world.context(), world.now) {
        Position::Collect(asked) => decide(&world.task, asked.answered(Ok(files)), world.now),
        other => panic!("no files are read: {other:?}"),
    }
}
