//! The broker: listener, APIs, partitions, controller and group coordinators.

pub mod api;
pub mod config;
pub mod controller;
pub mod coordinator;
pub mod group;
