//! Ports that stay free while nobody listens on them.
//!
//! What the system picks for port 0 it also picks for outgoing connections, which could then take the
//! port of a broker that is down. These are below that range.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// Counts the ports that were tried in this process.
static TRIED: AtomicU16 = AtomicU16::new(0);

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    // Several of these processes may run at once: each begins elsewhere.
    let start = u16::try_from(std::process::id() * 97 % u32::from(COUNT)).unwrap();
    loop {
        let tried = TRIED.fetch_add(1, Ordering::Relaxed);
        assert!(tried < COUNT, "no port is free");
        let port = FIRST + (start + tried) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
