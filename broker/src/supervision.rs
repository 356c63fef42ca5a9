//! Notices that a task of the broker has ended in a failed assertion.
//!
//! tokio keeps that to itself, and the rest would go on as if all were well: partitions whose fetcher
//! is gone fall out of sync for good, and a group whose coordinator is gone is never answered. The
//! broker stops instead, and others take over. Connections are not watched: what one client
//! brings about ends with its connection.

use std::sync::Arc;

use flumen_client::connection::{BoxFuture, Seams, Spawn, TaskHandle};
use futures_util::future::{Either, pending, select, select_all};
use tokio::sync::watch;

/// Starts tasks, and notices when one of them panics.
#[derive(Debug)]
struct Supervised {
    inner: Arc<dyn Spawn>,
    /// The name of the task that panicked.
    died: Arc<watch::Sender<Option<&'static str>>>,
}

/// What runs as long as the broker does. Dropping it ends it all.
#[derive(Debug)]
pub(crate) struct Tasks {
    seams: Seams,
    panicked: watch::Receiver<Option<&'static str>>,
    running: Vec<(&'static str, TaskHandle)>,
}

/// Is dropped with its task.
struct Guard {
    name: &'static str,
    died: Arc<watch::Sender<Option<&'static str>>>,
}

impl Spawn for Supervised {
    fn spawn(&self, name: &'static str, future: BoxFuture<'static, ()>) -> TaskHandle {
        let guard = Guard { name, died: Arc::clone(&self.died) };
        let watched = async move {
            let _guard = guard;
            future.await;
        };
        self.inner.spawn(name, Box::pin(watched))
    }

    fn blocking(&self, work: Box<dyn FnOnce() + Send + 'static>) {
        self.inner.blocking(work);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.died.send_replace(Some(self.name));
        }
    }
}

impl Tasks {
    pub(crate) fn new(seams: &Seams) -> Self {
        let (died, panicked) = watch::channel(None);
        let inner = Arc::clone(&seams.spawn);
        let spawn = Arc::new(Supervised { inner, died: Arc::new(died) });
        Self { seams: Seams { spawn, ..seams.clone() }, panicked, running: Vec::new() }
    }

    /// For parts that start tasks of their own, whose panics are heard of here.
    pub(crate) fn seams(&self) -> &Seams {
        &self.seams
    }

    /// Starts a task that ends with the broker and not before.
    pub(crate) fn start(&mut self, name: &'static str, task: BoxFuture<'static, ()>) {
        self.running.push((name, self.seams.spawn.spawn(name, task)));
    }

    /// Waits until one has ended that should not, and says which.
    pub(crate) async fn ended(&mut self) -> String {
        let panicked = Box::pin(panicked(&mut self.panicked));
        if self.running.is_empty() {
            return panicked.await;
        }
        let ended = self.running.iter_mut().map(|(name, task)| {
            Box::pin(async move {
                match task.await {
                    Ok(()) => format!("the task \"{name}\" has ended"),
                    Err(error) => format!("the task \"{name}\" has failed: {error}"),
                }
            })
        });
        match select(panicked, select_all(ended)).await {
            Either::Left((reason, _)) | Either::Right(((reason, ..), _)) => reason,
        }
    }

    /// Ends them all.
    pub(crate) fn stop(&self) {
        for (_, task) in &self.running {
            task.abort();
        }
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn panicked(name: &mut watch::Receiver<Option<&'static str>>) -> String {
    match name.wait_for(Option::is_some).await {
        Ok(name) => {
            let name = name.expect("that is what was waited for");
            format!("the task \"{name}\" has ended in a failed assertion")
        }
        // Nobody is left who could start one.
        Err(_closed) => pending().await,
    }
}
