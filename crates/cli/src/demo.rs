//! The main job.

mod dataset;
mod log;
mod reference;
mod scenes;
mod script;
