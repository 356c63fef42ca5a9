//! Random failures: no term has two leaders, and nothing that was committed is lost.

use std::time::Duration;

use super::cluster::Cluster;

/// Steps of one schedule.
const STEPS: u64 = 40;

async fn run(voters: i32, seed: u64) {
    let mut cluster = Cluster::running(voters, seed).await;
    let mut committed = Vec::new();
    let majority = usize::try_from(voters).unwrap() / 2 + 1;
    for step in 0..STEPS {
        let id = i32::try_from(cluster.dice.below(u64::from(voters.unsigned_abs()))).unwrap() + 1;
        match cluster.dice.below(8) {
            0 if cluster.is_running(id) => cluster.kill(id),
            1 if cluster.is_running(id) => cluster.power_cut(id),
            2 if cluster.is_running(id) => {
                cluster.kill(id);
                cluster.tell_lost(id);
            }
            3 => cluster.cut_off(id),
            4 => cluster.heal(),
            _ if !cluster.is_running(id) => cluster.start(id),
            _ => {
                let name = format!("a{step}");
                if let Some(leader) = cluster.leads()
                    && cluster.write_at(leader, &name).await
                {
                    committed.push(name);
                }
            }
        }
        let pause = cluster.dice.below(1500);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        cluster.leads();
        if cluster.running_ids().len() + 1 < majority {
            cluster.start(id);
        }
    }
    cluster.heal();
    for id in 1..=voters {
        if !cluster.is_running(id) {
            cluster.start(id);
        }
    }
    cluster.write("end").await;
    let end = |cluster: &Cluster| cluster.ids().iter().all(|id| cluster.has(*id, "end"));
    cluster.until("all are back", end).await;
    for id in cluster.ids() {
        let names = cluster.names(id);
        let lost: Vec<_> = committed.iter().filter(|name| !names.contains(*name)).collect();
        assert!(lost.is_empty(), "{lost:?} are lost at {id}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_committed_is_lost_and_no_term_has_two_leaders() {
    for seed in 0..4 {
        let voters = if seed % 2 == 0 { 3 } else { 5 };
        println!("seed {seed}");
        run(voters, seed).await;
    }
}
