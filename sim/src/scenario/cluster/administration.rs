//! An administrator that creates and deletes topics, moves partitions, has leaders elected, and looks in
//! the end what is there.

use std::collections::BTreeMap;

use flumen_client::admin::{ClusterDescription, Election, NewTopic};
use flumen_client::{Client, TopicPartition};

use super::{LOOK_EVERY, Program, TOPIC};

/// Pause between two changes.
const PAUSE_MS_MAX: u64 = 2_000;

/// The most replicas that a partition is given.
const REPLICAS_MAX: i32 = 3;

/// Waits until all brokers are registered.
pub(super) async fn await_brokers(program: &Program, brokers: i32) {
    let is_there =
        |cluster: ClusterDescription| i32::try_from(cluster.brokers.len()) == Ok(brokers);
    while !program.client.admin().describe_cluster().await.is_ok_and(is_there) {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Creates a topic; a retry may find it created.
pub(super) async fn create(client: &Client, name: &str, partitions: i32) -> turmoil::Result {
    let topic = NewTopic::new(name, partitions);
    match client.admin().create_topic(&topic).await {
        Err(e) if client.admin().describe_topic(name).await.is_err() => Err(e.into()),
        _ => Ok(()),
    }
}

pub(super) async fn run(mut program: Program, brokers: i32) -> turmoil::Result {
    let admin = program.client.admin();
    let mut living: Vec<String> = Vec::new();
    for number in 0.. {
        program.pause(PAUSE_MS_MAX).await;
        if program.is_draining() {
            break;
        }
        match program.rng.below(8) {
            0..=1 if !living.is_empty() => {
                let name = living.remove(0);
                change(&program, &name, |life| life.was_deletion_tried = true);
                if admin.delete_topic(&name).await.is_ok() {
                    change(&program, &name, |life| life.is_deleted = true);
                }
            }
            // Whether these come to anything is for the invariants to see.
            2..=4 if brokers >= REPLICAS_MAX => {
                let moves = moves(&program, brokers)?;
                drop(admin.alter_reassignments(&moves).await);
            }
            5 => drop(admin.elect_leaders(Election::Preferred, None).await),
            _ => {
                let name = format!("extra-{number}");
                change(&program, &name, |_| ());
                if create(&program.client, &name, 1).await.is_ok() {
                    change(&program, &name, |life| life.is_created = true);
                    living.push(name);
                }
            }
        }
    }
    Ok(())
}

/// Draws where some partitions are to be: on two or three brokers.
fn moves(
    program: &Program,
    brokers: i32,
) -> turmoil::Result<BTreeMap<TopicPartition, Option<Vec<i32>>>> {
    let rng = &program.rng;
    let mut moves = BTreeMap::new();
    for partition in Program::partitions().into_iter().filter(|_| rng.below(2) == 0) {
        let mut left: Vec<i32> = (1..=brokers).collect();
        let count = usize::try_from(REPLICAS_MAX)? - usize::from(rng.below(3) == 0);
        let mut replicas = Vec::new();
        while replicas.len() < count {
            let index = usize::try_from(rng.below(u64::try_from(left.len())?))?;
            replicas.push(left.remove(index));
        }
        moves.insert(partition, Some(replicas));
    }
    Ok(moves)
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
