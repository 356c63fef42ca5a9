//! Connections to the brokers of a cluster, by broker id.
//!
//! A broker answers the requests of one connection in order, so a request that waits (a long poll,
//! a join) holds up all behind it. Each user with such requests therefore opens a [`Connections`]
//! of its own from the client, and shares nothing but metadata.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::cluster::Cluster;
use crate::connection::{Connection, ConnectionOptions, Seams};
use crate::error::Error;

/// One connection per broker, made when first asked for.
#[derive(Debug)]
pub struct Connections {
    options: ConnectionOptions,
    seams: Seams,
    open: Mutex<BTreeMap<i32, Connection>>,
}

impl Connections {
    pub(crate) fn new(options: ConnectionOptions, seams: Seams) -> Arc<Self> {
        Arc::new(Self { options, seams, open: Mutex::new(BTreeMap::new()) })
    }

    /// The connection to a broker at the address it has in `cluster`.
    pub fn to(&self, broker_id: i32, cluster: &Cluster) -> Result<Connection, Error> {
        let broker = cluster.broker(broker_id).ok_or(Error::UnknownBroker { broker_id })?;
        let address = broker.address();
        let mut open = self.open.lock();
        if let Some(connection) = open.get(&broker_id).filter(|open| open.address() == address) {
            return Ok(connection.clone());
        }
        let connection = Connection::new(&address, self.options.clone(), &self.seams);
        open.insert(broker_id, connection.clone());
        Ok(connection)
    }
}
