//! What goes wrong in a run, and when: a function of the seed.
//!
//! A schedule is a row of periods. A quarter of them are quiet, so that a cluster that recovers is seen
//! as well; in the others one or two faults begin, of which each ends with the period or a little
//! earlier. [`Injector`] carries a schedule out on a `Cluster`.

mod damage;
mod injector;
mod schedule;

use std::time::Duration;

use flumen_storage::vfs::simulated::Unsynced;

pub use injector::{Injector, Voteless};
pub use schedule::{Planned, schedule};

/// How a machine stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The process is killed; what it wrote stays written.
    Kill,
    /// The machine loses power.
    PowerCut(Unsynced),
    /// The machine loses its disk, and comes back with an empty one.
    LoseDisk,
}

/// Something that goes wrong. Machines are named by their index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Machines stop at the same moment.
    Stop(Vec<usize>, Stop),
    /// A broker is stopped in order. As soon as it has, its machine loses power and starts anew.
    Leave(usize),
    /// A machine stops again and again, soon after it has started.
    RestartLoop(usize, Stop),
    /// Processes are frozen.
    Pause(Vec<usize>),
    /// A member of the group is frozen, longer than its session lasts.
    FreezeMember(usize),
    /// Some brokers, with or without the clients, hear nothing of the others; what is sent meanwhile
    /// arrives later, or is lost.
    Split {
        /// The brokers on one side.
        side: Vec<usize>,
        /// Whether the clients are on that side, too.
        has_clients: bool,
        /// Whether messages are lost.
        is_lossy: bool,
    },
    /// Every broker hears its neighbours only.
    Ring,
    /// What one broker sends does not reach another, or nobody.
    OneWay {
        /// Who is not heard.
        from: usize,
        /// By whom; `None` by all others.
        to: Option<usize>,
    },
    /// Two brokers do not hear each other, and everybody else does.
    Pair(usize, usize),
    /// The clients cannot reach a broker.
    ClientsFrom(usize),
    /// All messages of a broker take up to this long.
    Delay(usize, Duration),
    /// Every connection of a broker is reset.
    CutConnections(usize),
    /// Each sync takes this long.
    SlowDisk(usize, Duration),
    /// No sync finishes.
    HungDisk(usize),
    /// A sync fails.
    FailSync(usize),
    /// The disk damages logs: while the machine is down for it, or while it runs.
    Damage {
        /// The machine.
        broker: usize,
        /// Whether it is stopped first.
        is_stopped: bool,
    },
    /// The machine loses its disk, if the others have everything that was on it.
    ReplaceDisk(usize),
    /// The wall clock jumps, and stays off.
    JumpClock(usize, i64),
}
