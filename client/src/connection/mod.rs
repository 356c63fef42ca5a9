//! What touches the outside world: sockets, clocks, randomness and tasks, each behind a seam, and
//! the connection that everything else sends its requests through.
//!
//! * [`Connection`] is the handle: typed requests in, typed responses out.
//! * `link` is the task behind it, `flight` its table of unanswered requests.
//!
//! This module knows one peer at an address. Which broker that is, and what to do when it fails, is
//! for the modules above.

mod error;
mod flight;
mod handle;
mod link;
mod real;
pub mod seams;

pub use error::ConnectionError;
pub(crate) use handle::Owned;
pub use handle::{AsRequest, Call, Connection, ConnectionOptions, Pending};
pub use seams::{
    BoxFuture, Clock, Listener, Net, ReadHalf, Rng, Seams, Spawn, TaskHandle, Transport, WriteHalf,
};

/// Of the options: whoever makes connections chooses the pauses between attempts.
pub use crate::retry::BackoffConfig;
