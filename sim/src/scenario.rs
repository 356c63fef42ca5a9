//! What happens in a run. Each scenario takes a seed and gives the history that the seed makes.

pub mod cluster;
pub mod power_cuts;

/// A run that could not be brought to its end: a hang, or an error that clients should have hidden.
#[derive(Debug)]
pub struct Failure(pub String);
