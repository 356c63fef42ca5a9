//! Whole-cluster simulation: real brokers and real clients on one thread, in virtual time.
//!
//! Owns the simulated side of every seam ([`net`], [`clock`], [`rng`], [`spawn`]), the machines and
//! links of a [`cluster`], what goes wrong with them ([`faults`]), the scenarios that run on them
//! ([`scenario`]), and what must hold in each ([`invariants`], [`anomalies`]). The simulated disk
//! is the storage crate's. A run is a function of its seed:
//! the same seed gives the same trace, and a failing seed is printed with the command that
//! replays it.

#[cfg(not(tokio_unstable))]
compile_error!(
    "the simulation seeds tokio's random choices, which needs --cfg tokio_unstable: build from \
     the workspace, whose .cargo/config.toml sets it, and do not override RUSTFLAGS"
);

pub mod anomalies;
pub mod clock;
pub mod cluster;
pub mod faults;
pub mod history;
pub mod invariants;
pub mod machine;
pub mod net;
pub mod network;
pub mod node;
pub mod operations;
pub mod reader;
pub mod rng;
pub mod scenario;
pub mod spawn;
pub mod view;
