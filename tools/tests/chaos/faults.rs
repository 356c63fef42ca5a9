//! How each fault is brought about and ended.

use std::time::Duration;

use flumen_client::Client;

use crate::cluster::Cluster;
use crate::load::TOPIC;
use crate::network::{Condition, Node};
use crate::plan::{Fault, Step, Victim};

/// How much later everything arrives on slow links.
const SLOW_BY: Duration = Duration::from_millis(120);

/// Begins all faults of a step; gives the ids of their victims.
pub(crate) async fn begin(cluster: &mut Cluster, client: &Client, step: &Step) -> Vec<i32> {
    let mut victims = Vec::new();
    for (_, victim) in &step.faults {
        victims.push(find(cluster, client, *victim).await);
    }
    for ((fault, _), victim) in step.faults.iter().zip(&victims) {
        begin_one(cluster, *fault, *victim).await;
    }
    victims
}

/// Ends everything that went wrong.
pub(crate) async fn end(cluster: &mut Cluster, step: &Step, victims: &[i32]) {
    cluster.network.heal();
    for ((fault, _), victim) in step.faults.iter().zip(victims) {
        match fault {
            Fault::Freeze if cluster.machine(*victim).is_started() => {
                cluster.machine(*victim).thaw();
            }
            Fault::HangDisk => cluster.machine(*victim).wake_disk(),
            _ => {}
        }
    }
    cluster.start_missing();
}

async fn begin_one(cluster: &mut Cluster, fault: Fault, victim: i32) {
    let cut = |link: &mut Condition| link.is_cut = true;
    let peers = cluster.peers_of(victim);
    match fault {
        Fault::Kill if cluster.machine(victim).is_started() => {
            cluster.machine(victim).kill().await;
        }
        Fault::Stop if cluster.machine(victim).is_started() => stop(cluster, victim).await,
        Fault::Freeze if cluster.machine(victim).is_started() => cluster.machine(victim).freeze(),
        Fault::CutPower if cluster.machine(victim).is_started() => {
            cluster.machine(victim).lose_power().await;
        }
        Fault::HangDisk if cluster.machine(victim).is_started() => {
            cluster.machine(victim).hang_disk();
        }
        // Another fault of the step has ended the process before.
        Fault::Kill | Fault::Stop | Fault::Freeze | Fault::CutPower | Fault::HangDisk => {}
        Fault::Isolate => around_everybody(cluster, victim, cut),
        Fault::Partition => cluster.around(victim, &peers, cut),
        Fault::Deafen => {
            for peer in peers {
                cluster.network.change(peer, Node::Broker(victim), cut);
            }
        }
        Fault::Mute => {
            for peer in peers {
                cluster.network.change(Node::Broker(victim), peer, cut);
            }
        }
        Fault::CutPair => cluster.around(victim, &peers[..1], cut),
        Fault::Slow => around_everybody(cluster, victim, |link| link.delay = SLOW_BY),
        Fault::Reset => around_everybody(cluster, victim, |link| link.resets += 1),
        Fault::Forget => around_everybody(cluster, victim, |link| link.forgets += 1),
        Fault::Roll => {
            for id in cluster.ids() {
                stop(cluster, id).await;
                cluster.start(id);
                cluster.machine(id).ready().await;
            }
        }
        Fault::KillAll => {
            for machine in &mut cluster.machines {
                machine.kill().await;
            }
        }
        Fault::CutAllPower => {
            for machine in &cluster.machines {
                machine.freeze();
            }
            for machine in &mut cluster.machines {
                machine.lose_power().await;
            }
        }
    }
}

/// Stops a broker in order, which must succeed.
async fn stop(cluster: &mut Cluster, id: i32) {
    let machine = cluster.machine(id);
    let status = machine.stop().await;
    assert!(status.success(), "broker {id} stopped with {status}:\n{}", machine.last_words(40));
}

fn around_everybody(cluster: &Cluster, victim: i32, change: impl Fn(&mut Condition)) {
    let mut others = cluster.peers_of(victim);
    others.push(Node::Clients);
    cluster.around(victim, &others, change);
}

/// The broker that a victim is at the moment. If nobody tells, it is one or the other.
async fn find(cluster: &Cluster, client: &Client, victim: Victim) -> i32 {
    let ids = cluster.ids();
    let controller = async {
        let quorum = client.admin().describe_quorum().await;
        let leader = quorum.map(|quorum| quorum.leader_id);
        leader.ok().filter(|leader| ids.contains(leader)).unwrap_or(ids[0])
    };
    match victim {
        Victim::Controller => controller.await,
        Victim::Leader => {
            let controller = controller.await;
            let seen = client.cluster();
            let partitions = seen.topic(TOPIC).into_iter().flat_map(|topic| &topic.partitions);
            let mut leaders = partitions.filter_map(|partition| partition.leader);
            let other = ids.iter().find(|id| **id != controller).unwrap_or(&controller);
            leaders.find(|leader| *leader != controller).unwrap_or(*other)
        }
        Victim::Any(place) => ids[place],
    }
}
