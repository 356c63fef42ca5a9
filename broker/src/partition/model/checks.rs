//! What must hold in every state of the model. The names are those of the invariants.

use super::controller::NODES;
use super::world::{World, place};

pub(super) fn check(world: &World) -> Result<(), String> {
    for id in 0..NODES {
        let node = world.node(id);
        let shown = place(node.high_watermark());
        if node.log.len() < shown || !world.committed.starts_with(&node.log[..shown]) {
            return Err(format!("R5, R15: broker {id} shows what is not committed"));
        }
        let is_counted = world.metadata.in_sync.contains(&id);
        let is_eligible = world.metadata.eligible.contains(&id);
        // Nobody can know of a disk that was replaced before its broker comes and says so.
        let should_have_all = (is_counted || is_eligible) && !node.is_wiped;
        if should_have_all && !node.log[..node.flushed].starts_with(&world.committed) {
            return Err(format!("R2, R3, R4: broker {id} is to have everything, and has not"));
        }
        let is_leader = world.metadata.leader == Some(id);
        if is_leader && (!is_counted || world.metadata.in_service(id).is_none()) {
            return Err(format!("M4: broker {id} leads and must not"));
        }
        if let Some(leader) = node.leader()
            && is_leader
            && leader.leader_epoch() == world.metadata.leader_epoch
            && leader.is_settled()
            && shown < world.committed.len()
        {
            return Err(format!("R14: broker {id} tells an end that lies before what was shown"));
        }
    }
    if world.metadata.in_sync.is_empty() && world.metadata.eligible.is_empty() && !world.is_wiped {
        return Err("R13: nobody is left".to_owned());
    }
    Ok(())
}
