//! The client of a cluster: what producers, consumers and the admin client share.

use std::sync::Arc;
use std::time::Duration;

use flumen_protocol::messages::find_coordinator::{
    Coordinator, FindCoordinatorRequest, FindCoordinatorResponse,
};
use flumen_protocol::{ApiKey, Request};

use crate::admin::Admin;
use crate::cluster::{Broker, Cluster, LeaderHint, Topic, Topics};
use crate::config::{ClientBuilder, ClientConfig};
use crate::connection::{AsRequest, Call, Connection, ConnectionOptions, Seams};
use crate::connections::Connections;
use crate::error::Error;
use crate::metadata::Metadata;
use crate::retry::{Backoff, Deadline};

/// A cluster, as seen by a program: its metadata, and connections to its brokers.
///
/// Cheap to clone; all clones share metadata and connections. Its tasks end with the last clone.
#[derive(Debug, Clone)]
pub struct Client {
    core: Arc<Core>,
}

#[derive(Debug)]
struct Core {
    config: ClientConfig,
    seams: Seams,
    metadata: Metadata,
    /// For requests that are answered at once.
    connections: Arc<Connections>,
}

impl ClientBuilder {
    /// Connects to the first broker that answers, and learns the cluster's brokers from it.
    ///
    /// # Errors
    /// The configuration is wrong, or nobody answered within the connect timeout.
    pub async fn connect(self) -> Result<Client, Error> {
        let config = self.config.validated()?;
        let seams = self.seams.unwrap_or_else(Seams::real);
        let metadata = Metadata::start(&config, &seams);
        let connections = Connections::new(config.connection_options(), seams.clone());
        let core = Core { config, seams, metadata, connections };
        let client = Client { core: Arc::new(core) };
        let mut retry = client.retry_within(client.config().connect_timeout);
        loop {
            match client.refresh(Topics::Named(Vec::new())).await {
                Ok(_) => return Ok(client),
                Err(error) => retry.after(error).await?,
            }
        }
    }
}

impl Client {
    /// Starts building a client of the cluster at these comma-separated `host:port` addresses.
    pub fn builder(bootstrap: &str) -> ClientBuilder {
        ClientBuilder { config: ClientConfig::new(bootstrap), seams: None }
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &ClientConfig {
        &self.core.config
    }

    /// The seams the client runs on.
    #[must_use]
    pub fn seams(&self) -> &Seams {
        &self.core.seams
    }

    /// The administration of the cluster.
    #[must_use]
    pub fn admin(&self) -> Admin {
        Admin::new(self.clone())
    }

    /// What is known of the cluster now.
    #[must_use]
    pub fn cluster(&self) -> Arc<Cluster> {
        self.core.metadata.cluster()
    }

    /// Asks for metadata once, without retries.
    ///
    /// # Errors
    /// [`Error::Unreachable`] if no broker answers, [`Error::Broker`] if one refuses. That a topic does
    /// not exist is none: the cluster that is given lacks it.
    pub async fn refresh(&self, topics: Topics) -> Result<Arc<Cluster>, Error> {
        self.core.metadata.ask(topics, self.core.config.allow_auto_create_topics).await
    }

    /// Asks for the metadata of a topic, and has it created if the broker does that.
    ///
    /// # Errors
    /// As [`refresh`](Self::refresh).
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the topic may or may not be created.
    pub async fn refresh_or_create(&self, topic: &str) -> Result<Arc<Cluster>, Error> {
        self.core.metadata.ask(Topics::Named(vec![topic.to_owned()]), true).await
    }

    /// A topic with its partitions, asked for if it is not known yet.
    ///
    /// # Errors
    /// [`Error::UnknownTopic`] as soon as a broker says so; other errors after retries.
    pub async fn topic(&self, name: &str) -> Result<Arc<Topic>, Error> {
        if let Some(topic) = self.cluster().topic(name) {
            return Ok(Arc::clone(topic));
        }
        let mut retry = self.retry();
        loop {
            match self.refresh(Topics::Named(vec![name.to_owned()])).await {
                Ok(cluster) => {
                    let topic = cluster.topic(name).map(Arc::clone);
                    return topic.ok_or_else(|| Error::UnknownTopic { topic: name.to_owned() });
                }
                Err(error) => retry.after(error).await?,
            }
        }
    }

    /// Takes a broker's word for who leads a partition (KIP-951); says whether it was news.
    pub fn learn_leader(
        &self,
        topic: &str,
        partition: i32,
        hint: LeaderHint,
        brokers: impl IntoIterator<Item = Broker>,
    ) -> bool {
        for broker in brokers {
            self.learn_broker(broker);
        }
        self.core.metadata.change(|cluster| cluster.with_leader(topic, partition, hint))
    }

    fn learn_broker(&self, broker: Broker) {
        self.core.metadata.change(|cluster| {
            let is_known = cluster
                .broker(broker.id)
                .is_some_and(|known| known.host == broker.host && known.port == broker.port);
            (!is_known).then(|| cluster.with_broker(broker))
        });
    }

    /// Opens connections of one's own, for requests that wait.
    ///
    /// At most `in_flight_max` requests are unanswered at once on each of them.
    #[must_use]
    pub fn open_connections(&self, in_flight_max: usize) -> Arc<Connections> {
        let options = self.config().connection_options();
        let options = ConnectionOptions { in_flight_max, ..options };
        Connections::new(options, self.seams().clone())
    }

    /// The shared connection to a broker, for requests that are answered at once.
    ///
    /// # Errors
    /// [`Error::UnknownBroker`] if metadata does not name it.
    pub fn connection_to(&self, broker_id: i32) -> Result<Connection, Error> {
        self.core.connections.to(broker_id, &self.cluster())
    }

    /// The shared connection to some broker, another one for each number.
    ///
    /// # Errors
    /// [`Error::UnknownBroker`] if no broker is known.
    pub fn connection_to_any(&self, number: u64) -> Result<Connection, Error> {
        let cluster = self.cluster();
        let count = cluster.brokers().count() as u64;
        let mut brokers = (0..).zip(cluster.brokers());
        let chosen = brokers.find(|(index, _)| number.checked_rem(count) == Some(*index));
        let (_, broker) = chosen.ok_or(Error::UnknownBroker { broker_id: -1 })?;
        self.core.connections.to(broker.id, &cluster)
    }

    /// Begins retrying an operation, within the time operations may take.
    #[must_use]
    pub fn retry(&self) -> Retry {
        self.retry_within(self.config().api_timeout)
    }

    /// Begins retrying an operation that may take this long.
    #[must_use]
    pub fn retry_within(&self, timeout: Duration) -> Retry {
        Retry {
            seams: self.seams().clone(),
            backoff: Backoff::new(self.config().retry_backoff),
            deadline: Deadline::after(self.seams().clock.monotonic(), timeout),
            timeout,
        }
    }

    /// Asks any broker, another one after each failure to reach one.
    ///
    /// # Errors
    /// [`Error::TimedOut`] if none was reached within `api_timeout`. What the answer says is for the
    /// caller to judge.
    pub async fn ask_any<R: Request + Sync>(&self, request: &R) -> Result<R::Response, Error> {
        self.ask_any_with(|_version| request).await
    }

    /// Asks any broker what depends on the version both sides speak.
    pub(crate) async fn ask_any_with<R: Request, B: AsRequest<R>>(
        &self,
        build: impl Fn(i16) -> B + Send + Sync,
    ) -> Result<R::Response, Error> {
        let mut retry = self.retry();
        let mut number = self.seams().rng.next_u64() >> 1;
        loop {
            let outcome = async {
                let connection = self.connection_to_any(number)?;
                Ok(connection.start(Call::default(), &build).await?.await?)
            };
            match outcome.await {
                Ok(response) => return Ok(response),
                Err(error) => retry.after(error).await?,
            }
            number += 1;
        }
    }

    /// Asks one broker, with retries while it cannot be reached.
    ///
    /// # Errors
    /// [`Error::TimedOut`] if it was not reached within `api_timeout`. What the answer says is for the
    /// caller to judge.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the broker may or may not have done what it was asked, and after a
    /// connection that broke it may have done it twice.
    pub async fn ask_broker<R: Request + Sync>(
        &self,
        broker_id: i32,
        request: &R,
    ) -> Result<R::Response, Error> {
        let mut retry = self.retry();
        loop {
            let outcome = async {
                let connection = self.connection_to(broker_id)?;
                Ok(connection.send(request, Call::default()).await?)
            };
            match outcome.await {
                Ok(response) => return Ok(response),
                Err(error) => retry.after(error).await?,
            }
            // Its address may have changed.
            drop(self.refresh(Topics::Named(Vec::new())).await);
        }
    }

    /// Asks the controller, or any broker where none is known. Without retries.
    ///
    /// # Errors
    /// It cannot be reached, or does not answer in time. What the answer says, that another broker is
    /// the controller included, is for the caller to judge.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the controller may or may not have done what it was asked.
    pub async fn ask_controller<R: Request + Sync>(
        &self,
        request: &R,
    ) -> Result<R::Response, Error> {
        let connection = match self.cluster().controller_id() {
            Some(id) => self.connection_to(id)?,
            None => self.connection_to_any(self.seams().rng.next_u64())?,
        };
        let timeout = self.config().request_timeout + CONTROLLER_GRACE;
        Ok(connection.send(request, Call::timeout(timeout)).await?)
    }

    /// Finds the broker that coordinates a group, without retries.
    ///
    /// # Errors
    /// [`Error::Broker`] with `COORDINATOR_NOT_AVAILABLE` while there is none; no broker can be reached.
    pub async fn find_coordinator(&self, group: &str) -> Result<i32, Error> {
        let connection = self.connection_to_any(self.seams().rng.next_u64())?;
        let question = |version| match version {
            0..=3 => FindCoordinatorRequest { key: group.to_owned(), ..Default::default() },
            _ => FindCoordinatorRequest {
                coordinator_keys: vec![group.to_owned()],
                ..Default::default()
            },
        };
        let response = connection.send_with(Call::default(), question).await?;
        let coordinator = coordinator_from(response, group)?;
        let broker = Broker {
            id: coordinator.node_id,
            host: coordinator.host,
            port: coordinator.port,
            rack: None,
        };
        self.learn_broker(broker);
        Ok(coordinator.node_id)
    }
}

/// What a controller may need beyond the time its request allows for the work itself.
const CONTROLLER_GRACE: Duration = Duration::from_secs(5);

fn coordinator_from(response: FindCoordinatorResponse, group: &str) -> Result<Coordinator, Error> {
    let single = Coordinator {
        key: group.to_owned(),
        node_id: response.node_id,
        host: response.host,
        port: response.port,
        error_code: response.error_code,
        error_message: response.error_message,
    };
    // Up to version 3 there is no list; a list without our group is an answer to nothing.
    let is_listed = !response.coordinators.is_empty();
    let listed = response.coordinators.into_iter().find(|listed| listed.key == group);
    let coordinator = match listed {
        Some(listed) => listed,
        None if is_listed => {
            let about = format!("group {group}");
            return Err(Error::Incomplete { api: ApiKey::FindCoordinator, about });
        }
        None => single,
    };
    Error::check(
        ApiKey::FindCoordinator,
        coordinator.error_code,
        coordinator.error_message.clone(),
    )?;
    Ok(coordinator)
}

/// Tries of one operation: pauses between them, and ends them in time.
#[derive(Debug)]
pub struct Retry {
    seams: Seams,
    backoff: Backoff,
    deadline: Deadline,
    timeout: Duration,
}

impl Retry {
    /// Pauses after a failure that another try may cure; gives any other failure back.
    ///
    /// # Errors
    /// The failure itself if it is final, [`Error::TimedOut`] with it if time is over.
    pub async fn after(&mut self, error: Error) -> Result<(), Error> {
        if !error.is_retriable() {
            return Err(error);
        }
        let pause = self.backoff.next(&*self.seams.rng);
        let remaining = self.deadline.remaining(self.seams.clock.monotonic());
        if remaining.is_none_or(|remaining| remaining <= pause) {
            return Err(Error::TimedOut { after: self.timeout, last: Box::new(error) });
        }
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// The time left for further tries.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.deadline.remaining(self.seams.clock.monotonic()).unwrap_or_default()
    }
}
