//! An administrator that creates and deletes topics, changes settings, moves partitions, has leaders elected,
//! and looks in the end what is there.

use std::collections::BTreeMap;

use flumen_client::admin::{
    ClusterDescription, ConfigChange, ConfigEntry, ConfigOperation, ConfigResource, Election,
    NewTopic,
};
use flumen_client::cluster::Topic;
use flumen_client::{Client, TopicPartition};
use flumen_protocol::Uuid;

use super::{LOOK_EVERY, Program, TOPIC};
use crate::invariants::finished::{moves_arrive, settings_survive, topics_survive};
use crate::operations::{Operations, TopicLife};

/// Pause between two changes.
const PAUSE_MS_MAX: u64 = 2_000;

/// How often topics are looked at before what is found counts: for two seconds.
const LOOKS_MAX: u32 = 100;

/// What is changed of the topic, between which values.
const SETTINGS: [(&str, &[&str]); 3] = [
    ("segment.ms", &["1000", "4000", "60000"]),
    ("compression.type", &["producer", "lz4", "zstd"]),
    ("max.message.bytes", &["1048588", "2000000"]),
];

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

/// Creates a topic, and says with which id; a retry may find it created.
pub(super) async fn create(client: &Client, name: &str, partitions: i32) -> turmoil::Result<Uuid> {
    let topic = NewTopic::new(name, partitions);
    match client.admin().create_topic(&topic).await {
        Ok(created) => Ok(created.id),
        Err(_) => Ok(client.admin().describe_topic(name).await?.id),
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
        match program.rng.below(9) {
            0..=1 if !living.is_empty() => {
                let name = living.remove(0);
                change(&program, &name, |life| life.was_deletion_tried = true);
                if admin.delete_topic(&name).await.is_ok() {
                    change(&program, &name, |life| life.is_deleted = true);
                }
            }
            2..=4 if brokers >= REPLICAS_MAX => {
                let moves = moves(&program, brokers)?;
                move_partitions(&program, moves).await;
            }
            5 => drop(admin.elect_leaders(Election::Preferred, None).await),
            6 => set(&program).await,
            _ => {
                let name = format!("extra-{number}");
                change(&program, &name, |_| ());
                if let Ok(id) = create(&program.client, &name, 1).await {
                    change(&program, &name, |life| {
                        life.is_created = true;
                        life.id = Some(id);
                    });
                    living.push(name);
                }
            }
        }
    }
    Ok(())
}

/// Changes a setting of the topic.
async fn set(program: &Program) {
    let draw = |length: usize| {
        let drawn = program.rng.below(u64::try_from(length).expect("few"));
        usize::try_from(drawn).expect("few")
    };
    let (name, values) = SETTINGS[draw(SETTINGS.len())];
    let value = values[draw(values.len())].to_owned();
    let place = {
        let mut operations = program.shared.borrow_mut();
        let asked = &mut operations.settings.entry(name.to_owned()).or_default().asked;
        asked.push(value.clone());
        asked.len() - 1
    };
    let change = ConfigChange { name: name.to_owned(), operation: ConfigOperation::Set(value) };
    let topic = ConfigResource::Topic(TOPIC.to_owned());
    if program.client.admin().alter_configs(&topic, &[change], false).await.is_ok() {
        let mut operations = program.shared.borrow_mut();
        operations.settings.entry(name.to_owned()).or_default().acknowledged.insert(place);
    }
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

/// Asks for moves; whether they come to their ends is for the invariants to see.
async fn move_partitions(program: &Program, moves: BTreeMap<TopicPartition, Option<Vec<i32>>>) {
    for (partition, replicas) in &moves {
        let mut operations = program.shared.borrow_mut();
        let moves = operations.moves.entry(partition.partition).or_default();
        moves.asked.extend(replicas.clone());
    }
    let Ok(outcomes) = program.client.admin().alter_reassignments(&moves).await else { return };
    for (partition, _) in outcomes.iter().filter(|(_, outcome)| outcome.is_ok()) {
        let mut operations = program.shared.borrow_mut();
        operations.moves.entry(partition.partition).or_default().is_acknowledged = true;
    }
}

/// Looks which topics there are, where partitions are and what is set: again for a while if they are not what they
/// should be, since a broker that was cut off may be behind for a moment.
pub(super) async fn look(program: &Program) -> turmoil::Result {
    for _ in 0..LOOKS_MAX {
        let found = program.client.admin().list_topics().await?;
        let found: BTreeMap<_, _> = found.iter().map(|topic| (&*topic.name, topic.id)).collect();
        let placed = program.client.admin().describe_topic(TOPIC).await?;
        let topic = ConfigResource::Topic(TOPIC.to_owned());
        let settings = program.client.admin().describe_configs(&topic).await?;
        if note(&mut program.shared.borrow_mut(), &found, &placed, &settings).is_ok() {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// Notes what was found, and says whether it is what it should be.
fn note(
    operations: &mut Operations,
    found: &BTreeMap<&str, Uuid>,
    placed: &Topic,
    settings: &BTreeMap<String, ConfigEntry>,
) -> Result<(), String> {
    for (name, life) in &mut operations.topics {
        life.found = found.get(&**name).copied();
    }
    for (partition, moves) in &mut operations.moves {
        let placed = placed.partitions.iter().find(|placed| placed.index == *partition);
        moves.found = placed.map(|placed| placed.replicas.clone()).unwrap_or_default();
    }
    for (name, life) in &mut operations.settings {
        life.found = settings.get(name).and_then(|entry| entry.value.clone());
    }
    topics_survive::check(operations)?;
    settings_survive::check(operations)?;
    moves_arrive::check(operations)
}

fn change(program: &Program, name: &str, change: impl FnOnce(&mut TopicLife)) {
    change(program.shared.borrow_mut().topics.entry(name.to_owned()).or_default());
}
