//! This broker's membership of the cluster: it registers, says that it is alive, and leaves.
//!
//! A start of a broker registers once and gets an epoch. From then on it sends heartbeats, each of
//! which says what the broker wants: to be in service, to be out of it (its disk hangs), or to leave
//! (it is being stopped). What becomes of that is in the metadata. `disk_watch` is pure, `runtime`
//! runs it.
//!
//! **Invariant:** a broker asks to be in service only with metadata that has its own registration, and
//! with its logs in line with it (M4).

mod disk_watch;
mod runtime;

pub(crate) use runtime::{Introduction, JoinError, Member, look_after, take_over};
