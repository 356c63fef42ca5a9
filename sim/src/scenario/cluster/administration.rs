//! An administrator that creates and deletes topics, changes settings, and looks in the end what is
//! there.

use flumen_client::Client;
use flumen_client::admin::NewTopic;

use super::{Program, TOPIC};

/// Pause between two changes.
const PAUSE_MS_MAX: u64 = 2_000;

/// Creates a topic; a retry may find it created.
pub(super) async fn create(client: &Client, name: &str, partitions: i32) -> turmoil::Result {
    let topic = NewTopic::new(name, partitions);
    match client.admin().create_topic(&topic).await {
        Err(e) if client.admin().describe_topic(name).await.is_err() => Err(e.into()),
        _ => Ok(()),
    }
}

pub(super) async fn run(mut program: Program) -> turmoil::Result {
    let admin = program.client.admin();
    let mut living: Vec<String> = Vec::new();
    for number in 0.. {
        program.pause(PAUSE_MS_MAX).await;
        if program.is_draining() {
            break;
        }
        if program.rng.below(3) == 0 && !living.is_empty() {
            let name = living.remove(0);
            change(&program, &name, |life| life.was_deletion_tried = true);
            if admin.delete_topic(&name).await.is_ok() {
                change(&program, &name, |life| life.is_deleted = true);
            }
        } else {
            let name = format!("extra-{number}");
            change(&program, &name, |_| ());
            if create(&program.client, &name, 1).await.is_ok() {
                change(&program, &name, |life| life.is_created = true);
                living.push(name);
            }
        }
    }
    Ok(())
}

/// Looks which topics there are.
pub(super) async fn look(program: &Program) -> turmoil::Result {
    let found = program.client.admin().list_topics().await?;
    for name in found.iter().map(|topic| &topic.name).filter(|name| &***name != TOPIC) {
        change(program, name, |life| life.is_found = true);
    }
    Ok(())
}

fn change(program: &Program, name: &str, change: impl FnOnce(&mut crate::operations::TopicLife)) {
    change(program.shared.borrow_mut().topics.entry(name.to_owned()).or_default());
}
