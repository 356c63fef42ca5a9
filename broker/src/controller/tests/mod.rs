//! The controller's decisions, one file per kind, and the controller as a whole.

mod brokers;
mod configs;
mod crash;
mod decider;
mod invariants;
mod model;
mod partitions;
mod replay;
mod restart;
mod topics;
