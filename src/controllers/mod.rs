//! controllers

pub mod task;
