//! What touches the outside world: sockets, clocks, randomness and tasks, each behind a seam.

mod real;
pub mod seams;

pub use seams::{
    BoxFuture, Clock, Listener, Net, ReadHalf, Rng, Seams, Spawn, TaskHandle, Transport, WriteHalf,
};
