//! The task that asks for metadata, and the shared snapshot it keeps up to date.
//!
//! One task per client asks, so that a hundred callers who miss the same leader cause one request.
//! It tries the brokers it knows and then the bootstrap addresses, in changing order. Retrying over
//! time is for the callers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use flumen_protocol::messages::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse,
};
use flumen_protocol::{ApiKey, ErrorCode};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{debug, warn};

use crate::cluster::{Cluster, Topics};
use crate::config::ClientConfig;
use crate::connection::{Call, Connection, ConnectionError, Seams};
use crate::error::Error;

/// Callers that may wait for the task at once; further ones wait to be queued.
const QUEUE_LENGTH: usize = 256;

/// How long a broker is waited for while there is another one to ask: it may be frozen or cut off.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a caller wants to know.
#[derive(Debug)]
struct Question {
    topics: Topics,
    may_create: bool,
    reply: oneshot::Sender<Result<Arc<Cluster>, Error>>,
}

/// The shared snapshot, and the way to ask for a newer one.
#[derive(Debug)]
pub(crate) struct Metadata {
    cluster: Arc<watch::Sender<Arc<Cluster>>>,
    questions: mpsc::Sender<Question>,
}

impl Metadata {
    /// Starts the task; it ends when this is dropped.
    pub(crate) fn start(config: &ClientConfig, seams: &Seams) -> Self {
        let cluster = Arc::new(watch::channel(Arc::new(Cluster::default())).0);
        let (questions, inbox) = mpsc::channel(QUEUE_LENGTH);
        let asker = Asker {
            config: config.clone(),
            seams: seams.clone(),
            cluster: Arc::clone(&cluster),
            connections: BTreeMap::new(),
        };
        drop(seams.spawn.spawn("metadata", Box::pin(asker.run(inbox))));
        Self { cluster, questions }
    }

    pub(crate) fn cluster(&self) -> Arc<Cluster> {
        Arc::clone(&self.cluster.borrow())
    }

    /// Replaces the snapshot by what `change` makes of it, if it makes anything.
    pub(crate) fn change(&self, change: impl FnOnce(&Cluster) -> Option<Cluster>) -> bool {
        self.cluster.send_if_modified(|cluster| match change(cluster) {
            Some(changed) => {
                *cluster = Arc::new(changed);
                true
            }
            None => false,
        })
    }

    /// Asks once; the answer is newer than the call.
    pub(crate) async fn ask(
        &self,
        topics: Topics,
        may_create: bool,
    ) -> Result<Arc<Cluster>, Error> {
        let (reply, answer) = oneshot::channel();
        let question = Question { topics, may_create, reply };
        self.questions.send(question).await.map_err(|_gone| Error::Closed)?;
        answer.await.map_err(|_gone| Error::Closed)?
    }
}

struct Asker {
    config: ClientConfig,
    seams: Seams,
    cluster: Arc<watch::Sender<Arc<Cluster>>>,
    connections: BTreeMap<String, Connection>,
}

impl Asker {
    async fn run(mut self, mut inbox: mpsc::Receiver<Question>) {
        loop {
            tokio::select! {
                biased;
                question = inbox.recv() => match question {
                    Some(first) => self.answer(first, &mut inbox).await,
                    None => return,
                },
                () = tokio::time::sleep(self.config.metadata_max_age) => self.renew().await,
            }
        }
    }

    /// Answers a question together with all that wait and can share a request with it.
    async fn answer(&mut self, first: Question, inbox: &mut mpsc::Receiver<Question>) {
        let mut questions = vec![first];
        while let Ok(question) = inbox.try_recv() {
            questions.push(question);
        }
        for may_create in [false, true] {
            let (alike, others): (Vec<_>, Vec<_>) =
                questions.into_iter().partition(|question| question.may_create == may_create);
            questions = others;
            if alike.is_empty() {
                continue;
            }
            let topics = union(alike.iter().map(|question| &question.topics));
            let outcome = self.refresh(&topics, may_create).await;
            for question in alike {
                drop(question.reply.send(outcome.clone()));
            }
        }
    }

    /// Asks again about everything known, because nothing else would tell of changes.
    async fn renew(&mut self) {
        let names = self.cluster.borrow().topics().map(|topic| topic.name.to_string()).collect();
        if let Err(error) = self.refresh(&Topics::Named(names), false).await {
            debug!(%error, "metadata could not be renewed");
        }
    }

    async fn refresh(&mut self, topics: &Topics, may_create: bool) -> Result<Arc<Cluster>, Error> {
        let response = self.request(topics, may_create).await?;
        for topic in &response.topics {
            let code = ErrorCode::from_code(topic.error_code);
            if !matches!(code, ErrorCode::None | ErrorCode::UnknownTopicOrPartition) {
                debug!(topic = topic.name, code = code.name(), "metadata of a topic has an error");
            }
        }
        let merged = Arc::new(self.cluster.borrow().merged(topics, &response));
        self.cluster.send_replace(Arc::clone(&merged));
        let known: BTreeSet<String> = merged.brokers().map(|broker| broker.address()).collect();
        let bootstrap = &self.config.bootstrap;
        self.connections
            .retain(|address, _| known.contains(address) || bootstrap.contains(address));
        refused(topics, &response)?;
        Ok(merged)
    }

    /// Asks one broker after the other until one answers.
    async fn request(
        &mut self,
        topics: &Topics,
        may_create: bool,
    ) -> Result<MetadataResponse, Error> {
        let candidates = self.candidates();
        let mut last = None;
        for (place, address) in candidates.iter().enumerate() {
            let connection = self.connections.entry(address.clone()).or_insert_with(|| {
                Connection::new(address, self.config.connection_options(), &self.seams)
            });
            let call = Call::timeout(self.config.request_timeout);
            let asked = connection.send_with(call, |version| question(topics, may_create, version));
            let is_last = place + 1 == candidates.len();
            let answer = if is_last { asked.await } else { patiently(asked, address).await };
            match answer {
                Ok(response) if response.brokers.is_empty() => {
                    // A broker that is starting knows nobody yet; believing it would end everything.
                    warn!(address, "a broker's metadata names no broker and is ignored");
                }
                Ok(response) => return Ok(response),
                Err(error) => last = Some(error),
            }
        }
        let address = candidates.last().map(String::as_str).unwrap_or_default();
        let nobody = || ConnectionError::Lost { address: address.into(), possibly_received: false };
        Err(Error::Unreachable { tried: candidates.join(", "), last: last.unwrap_or_else(nobody) })
    }

    /// Known brokers from a random one on, then the bootstrap addresses likewise.
    fn candidates(&self) -> Vec<String> {
        let mut known: Vec<String> =
            self.cluster.borrow().brokers().map(|broker| broker.address()).collect();
        let mut bootstrap: Vec<String> = self.config.bootstrap.clone();
        bootstrap.retain(|address| !known.contains(address));
        for list in [&mut known, &mut bootstrap] {
            if !list.is_empty() {
                let start = self.seams.rng.next_u64() % list.len() as u64;
                list.rotate_left(usize::try_from(start).expect("less than a length"));
            }
        }
        known.append(&mut bootstrap);
        known
    }
}

async fn patiently<A>(
    asked: impl Future<Output = Result<A, ConnectionError>>,
    address: &str,
) -> Result<A, ConnectionError> {
    tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_elapsed| {
        let (address, api) = (address.into(), ApiKey::Metadata);
        Err(ConnectionError::TimedOut { address, api, after: PATIENCE })
    })
}

fn question(topics: &Topics, may_create: bool, version: i16) -> MetadataRequest {
    let names = match topics {
        // Before version 1 there is no null, and an empty list means all topics.
        Topics::All if version == 0 => Some(Vec::new()),
        Topics::All => None,
        Topics::Named(names) => Some(names.clone()),
    };
    let topics = names.map(|names| {
        let topic = |name| MetadataRequestTopic { name: Some(name), ..Default::default() };
        names.into_iter().map(topic).collect()
    });
    MetadataRequest {
        topics,
        allow_auto_topic_creation: may_create || version < 4,
        ..MetadataRequest::default()
    }
}

/// The one error of a topic that waiting does not cure and that says more than its absence.
fn refused(asked: &Topics, response: &MetadataResponse) -> Result<(), Error> {
    let Topics::Named(names) = asked else { return Ok(()) };
    let [name] = names.as_slice() else { return Ok(()) };
    let topic = response.topics.iter().find(|topic| topic.name.as_deref() == Some(name));
    match topic.map(|topic| ErrorCode::from_code(topic.error_code)) {
        Some(code @ (ErrorCode::InvalidTopicException | ErrorCode::TopicAuthorizationFailed)) => {
            let message = Some(format!("{}: {name:?}", code.message()));
            Err(Error::Broker { api: ApiKey::Metadata, code, message })
        }
        _ => Ok(()),
    }
}

fn union<'a>(all: impl Iterator<Item = &'a Topics>) -> Topics {
    let mut names = BTreeSet::new();
    for topics in all {
        match topics {
            Topics::All => return Topics::All,
            Topics::Named(more) => names.extend(more.iter().cloned()),
        }
    }
    Topics::Named(names.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_asked_together() {
        let named =
            |names: &[&str]| Topics::Named(names.iter().map(|name| (*name).to_owned()).collect());
        let both = union([named(&["b", "a"]), named(&["a", "c"])].iter());
        assert_eq!(both, named(&["a", "b", "c"]));
        assert_eq!(union([named(&["b"]), Topics::All].iter()), Topics::All);
    }

    #[test]
    fn all_topics_are_asked_for_as_each_version_has_it() {
        assert_eq!(question(&Topics::All, false, 0).topics, Some(Vec::new()));
        assert_eq!(question(&Topics::All, false, 1).topics, None);
        assert_eq!(question(&Topics::Named(Vec::new()), false, 1).topics, Some(Vec::new()));
        assert!(!question(&Topics::All, false, 4).allow_auto_topic_creation);
    }
}
