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
    api::{BuildStatus, Column, State, Task, conditions as names},
    domain::conditions::{find, is_true},
};
use world::World;

const NEW: board::Row = (State::Todo, Column::Research, BuildStatus::Pending);
const BUILDING: board::Row = (State::InProgress, Column::Development, BuildStatus::Building);
const REVIEW: board::Row = (State::Review, Column::Testing, BuildStatus::Ready);
const DONE: board::Row = (State::Done, Column::Done, BuildStatus::Ready);
const FAILED_EARLY: board::Row = (State::Todo, Column::Research, BuildStatus::Failed);
const FAILED_LATE: board::Row = (State::InProgress, Column::Development, BuildStatus::Failed);
const NOTHING_CHANGED: board::Row = (State::Todo, Column::Research, BuildStatus::Ready);
