//! Who connects: the broker process that a socket belongs to.
//!
//! Brokers tell each other one peer address each, so a connection does not show by its port where it
//! comes from. The system knows: `/proc/net/tcp` names the socket of a port, `/proc/PID/fd` the
//! sockets of a process.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;

use parking_lot::Mutex;

use crate::network::Node;

/// The processes that connections can come from.
#[derive(Debug, Default)]
pub(crate) struct Processes {
    nodes: Mutex<BTreeMap<u32, Node>>,
}

impl Processes {
    /// Notes that a process belongs to a node.
    pub(crate) fn add(&self, process: u32, node: Node) {
        self.nodes.lock().insert(process, node);
    }

    /// Forgets a process that has ended; its number may go to a stranger.
    pub(crate) fn remove(&self, process: u32) {
        self.nodes.lock().remove(&process);
    }

    /// The node whose process has this local address on a socket, unless it is closed already.
    pub(crate) fn owner(&self, address: SocketAddr) -> Option<Node> {
        let socket = format!("socket:[{}]", inode(address)?);
        let nodes = self.nodes.lock();
        nodes.iter().find(|(process, _)| has_open(**process, &socket)).map(|(_, node)| *node)
    }
}

/// The inode of the IPv4 socket with this local address.
fn inode(address: SocketAddr) -> Option<String> {
    let SocketAddr::V4(address) = address else { return None };
    // The kernel prints the address as the number that it is in memory.
    let host = u32::from_ne_bytes(address.ip().octets());
    let local = format!("{host:08X}:{:04X}", address.port());
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    // The table is that of the whole machine. Only the second column of most rows is looked at: who
    // cannot keep up with those that connect makes them give up and connect again.
    let mut rows = table.lines().filter(|row| row.split_whitespace().nth(1) == Some(&local));
    rows.find_map(|row| row.split_whitespace().nth(9).filter(|inode| *inode != "0"))
        .map(str::to_owned)
}

fn has_open(process: u32, file: &str) -> bool {
    let Ok(entries) = fs::read_dir(format!("/proc/{process}/fd")) else { return false };
    let mut targets = entries.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
    targets.any(|target| target.as_os_str() == file)
}
