//! Chaos: several brokers as real processes, behind links that can be cut, slowed and broken, under
//! load while they are killed, frozen and restarted. Nothing acknowledged may be lost, doubled or
//! out of order, and each fault is measured by the longest time without an acknowledgement.
//!
//! `FLUMEN_CHAOS_SECONDS` makes a longer run, `FLUMEN_CHAOS_SEED` another one,
//! `FLUMEN_CHAOS_BROKERS` one with more brokers or fewer, and `FLUMEN_CHAOS_ONLY` one with those faults only
//! that have these words in their names. `FLUMEN_CHAOS_CLIENT` is a program that lets another library
//! write and read beside ours; see `other_client`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::print_stdout, reason = "whoever waits for a long run wants to see it go on")]
#![expect(clippy::let_underscore_must_use, reason = "what breaks is what this is about")]

mod cluster;
mod connection;
mod disk;
mod door;
mod faults;
mod gaps;
mod history;
mod load;
mod machine;
mod network;
mod origin;
mod other_client;
mod plan;
mod ports;
mod proxy_tests;
mod seams;
mod story;
mod table;
