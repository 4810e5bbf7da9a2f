//! What is decided about Tasks, held against a small world that is nothing but data: its GitHub, E2B and cluster
//! answer what is looked at and change as steps say.

mod deletion;
mod drive;
mod failures;
mod generation;
mod github;
mod invariants;
mod merge;
mod publish;
mod rounds;
mod stuck;
mod template;
mod turns;
mod walk;
mod way;
mod world;

use super::*;
use crate::{
    api::{PullRequestState, Task, TaskStatus, conditions as names},
    domain::{
        board::{BUILDING, DONE, FAILED_EARLY, FAILED_LATE, NOTHING_CHANGED, PENDING as NEW, REVIEW, Row},
        conditions::{find, is_true},
    },
};
use world::World;
