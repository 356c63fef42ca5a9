//! Chaos: several brokers as real processes, behind links that can be cut, slowed and broken, under
//! load while they are killed, frozen and restarted. Nothing acknowledged may be lost, doubled or
//! out of order, and each fault is measured by the longest time without an acknowledgement.
//!
//! `FLUMEN_CHAOS_SECONDS` makes a longer run and `FLUMEN_CHAOS_SEED` another one.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::let_underscore_must_use, reason = "what breaks is what this is about")]

mod connection;
mod door;
mod network;
mod origin;
mod ports;
mod proxy_tests;
