//! Accepts connections and starts a task for each, within the limits of `admission`.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use flumen_client::connection::{Listener, Transport};
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{debug, info, warn};

use super::admission::{Admission, Admitted, Denied};
use super::collector::ConnectionCollector;
use super::connection::{Closed, Connection};
use super::memory::RequestMemory;
use super::patience::Overdue;
use crate::api::{Context, Refusal};
use crate::metrics::Warnings;

/// How long a refused connection is kept open, so that its client does not try again at once.
const REFUSAL_DELAY: Duration = Duration::from_millis(500);

/// Refused connections kept open at once; more are closed without delay.
const REFUSED_MAX: usize = 256;

/// How long accepting pauses after an error, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// What all connections of a broker share.
#[derive(Debug, Clone)]
pub(crate) struct Acceptor {
    pub(crate) ctx: Arc<Context>,
    pub(crate) admission: Admission,
    pub(crate) memory: RequestMemory,
    pub(crate) stop: watch::Receiver<bool>,
    /// Keeps what clients do wrong from filling the log.
    pub(crate) complaints: Arc<Warnings>,
    /// Closed once the last connection has gone: each holds a sender.
    pub(crate) alive: tokio::sync::mpsc::Sender<()>,
}

impl Acceptor {
    /// What of this is shown on `/metrics`.
    pub(crate) fn collector(&self) -> ConnectionCollector {
        ConnectionCollector::new(self.admission.clone(), self.memory.clone())
    }

    /// Accepts until the broker stops. An error of `accept` never ends it: with no descriptors
    /// left (EMFILE) it waits for some to come back, and those who are connected go on.
    pub(crate) async fn run(self, listener: Box<dyn Listener>) {
        let mut stop = self.stop.clone();
        let mut pause = PAUSE.0;
        let warnings = Warnings::default();
        let refused = Arc::new(());
        loop {
            let accepted = tokio::select! {
                biased;
                _ = stop.wait_for(|is_stopping| *is_stopping) => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok(transport) => {
                    pause = PAUSE.0;
                    self.admit(transport, &warnings, &refused);
                }
                Err(e) if is_of_one_peer(&e) => debug!(error = %e, "a connection was not accepted"),
                Err(e) => {
                    self.ctx.metrics.accept_errors.inc();
                    if warnings.admit(self.ctx.seams.clock.monotonic()) {
                        warn!(error = %e, "connections cannot be accepted at the moment");
                    }
                    sleep(pause).await;
                    pause = (pause * 2).min(PAUSE.1);
                }
            }
        }
    }

    fn admit(&self, transport: Transport, warnings: &Warnings, refused: &Arc<()>) {
        let peer = transport.2;
        let now = self.ctx.seams.clock.monotonic();
        match self.admission.admit(peer, now) {
            Ok(admitted) => {
                let connection = self.clone().serve(transport, admitted);
                drop(self.ctx.seams.spawn.spawn("connection", Box::pin(connection)));
            }
            Err(denied) => {
                self.ctx.metrics.on_denied(denied_label(denied));
                if warnings.admit(now) {
                    warn!(%peer, reason = %denied, "a connection was refused");
                }
                if Arc::strong_count(refused) <= REFUSED_MAX {
                    let place = Arc::clone(refused);
                    let hold = async move {
                        sleep(REFUSAL_DELAY).await;
                        drop((transport, place));
                    };
                    drop(self.ctx.seams.spawn.spawn("refused connection", Box::pin(hold)));
                }
            }
        }
    }

    async fn serve(self, transport: Transport, admitted: Admitted) {
        let peer = transport.2;
        if !admitted.wait.is_zero() {
            sleep(admitted.wait).await;
        }
        debug!(%peer, "connected");
        let guard = PanicGuard { peer };
        let ctx = Arc::clone(&self.ctx);
        let connection = Connection::new(ctx, transport, &self.memory, self.stop.clone());
        let closed = connection.serve().await;
        drop(guard);
        self.ctx.metrics.on_closed(closed_label(&closed));
        let is_told = || self.complaints.admit(self.ctx.seams.clock.monotonic());
        report(peer, &closed, is_told);
        drop((admitted, self.alive));
    }
}

/// Says so when a connection's task ends in a panic, which tokio would keep to itself.
pub(crate) struct PanicGuard {
    pub(crate) peer: SocketAddr,
}

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(peer = %self.peer, "a connection ended in a failed assertion");
        }
    }
}

/// Errors that tell of the connection that was to be accepted, not of the listener.
fn is_of_one_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::NotConnected
            | io::ErrorKind::Interrupted
    )
}

/// Clients come and go: that is no news. What they do wrong is, now and then, and a broken response is
/// our fault.
fn report(peer: SocketAddr, closed: &Closed, is_told: impl FnOnce() -> bool) {
    match closed {
        Closed::ByPeer
        | Closed::InsideRequest
        | Closed::Overdue(Overdue::FirstRequest(_) | Overdue::Traffic(_))
        | Closed::Reading(_)
        | Closed::Sending(_)
        | Closed::Request(_, Refusal::UnacknowledgedFailure | Refusal::Undecided)
        | Closed::Stopping => debug!(%peer, reason = %closed, "connection closed"),
        Closed::Overdue(Overdue::Request { .. } | Overdue::Answers(_) | Overdue::Memory(_))
        | Closed::Frame(_)
        | Closed::Header(_)
        | Closed::UnknownApi { .. }
        | Closed::Request(_, Refusal::Malformed(_) | Refusal::NotServed { .. }) => {
            if is_told() {
                info!(%peer, reason = %closed, "connection closed");
            } else {
                debug!(%peer, reason = %closed, "connection closed");
            }
        }
        Closed::Request(_, Refusal::Encoding(_)) => {
            tracing::error!(%peer, reason = %closed, "connection closed");
        }
    }
}

fn closed_label(closed: &Closed) -> &'static str {
    match closed {
        Closed::ByPeer | Closed::InsideRequest => "by_client",
        Closed::Overdue(Overdue::FirstRequest(_)) => "no_first_request",
        Closed::Overdue(Overdue::Request { .. }) => "slow_request",
        Closed::Overdue(Overdue::Answers(_)) => "slow_reader",
        Closed::Overdue(Overdue::Memory(_)) => "no_memory",
        Closed::Overdue(Overdue::Traffic(_)) => "idle",
        Closed::Frame(_) => "frame_size",
        Closed::Header(_) | Closed::Request(..) | Closed::UnknownApi { .. } => "bad_request",
        Closed::Reading(_) | Closed::Sending(_) => "network",
        Closed::Stopping => "stopping",
    }
}

fn denied_label(denied: Denied) -> &'static str {
    match denied {
        Denied::Full { .. } => "max_connections",
        Denied::ByAddress { .. } => "max_connections_per_ip",
        Denied::ByRate { .. } => "connection_rate",
    }
}
