//! Where new partitions go, and where they cannot go.

use anyhow::Result;
use flumen_protocol::messages::create_partitions::{
    CreatePartitionsAssignment, CreatePartitionsRequest, CreatePartitionsTopic,
};
use flumen_protocol::messages::create_topics::CreatableTopic;

use super::Clusters;
use super::scene::{SPREAD, TIMEOUT_MS, by_hand, create, mask_created};

pub(super) fn place(clusters: &mut Clusters) -> Result<()> {
    let counted = |num_partitions, replication_factor| CreatableTopic {
        name: "counted".to_owned(),
        num_partitions,
        replication_factor,
        ..Default::default()
    };
    let mut sparse = by_hand("sparse", &[&[1], &[2]]);
    sparse.assignments[1].partition_index = 2;
    let refused = [
        counted(1, 4),
        counted(1, 0),
        counted(1, 300),
        counted(0, 3),
        by_hand("unknown", &[&[1, 2], &[2, 9]]),
        by_hand("negative", &[&[-1]]),
        by_hand("twice", &[&[1, 2, 1]]),
        by_hand("empty", &[&[]]),
        by_hand("uneven", &[&[1, 2], &[3]]),
        sparse,
    ];
    for topic in refused {
        clusters.ask(7, &create(vec![topic], false), mask_created)?;
    }
    for (partitions, factor) in [(5, 3), (5, 1), (3, 2)] {
        clusters.ask(7, &create(vec![counted(partitions, factor)], true), mask_created)?;
    }
    Ok(())
}

pub(super) fn grow(clusters: &mut Clusters) -> Result<()> {
    let grown = |count, replicas: Option<&[&[i32]]>| {
        let assignment =
            |brokers: &&[i32]| CreatePartitionsAssignment { broker_ids: brokers.to_vec() };
        let assignments = replicas.map(|replicas| replicas.iter().map(assignment).collect());
        let topic = CreatePartitionsTopic { name: SPREAD.to_owned(), count, assignments };
        CreatePartitionsRequest { topics: vec![topic], timeout_ms: TIMEOUT_MS, validate_only: true }
    };
    let requests = [
        grown(4, None),
        grown(4, Some(&[&[3, 2, 1]])),
        grown(4, Some(&[&[3, 2]])),
        grown(4, Some(&[&[3, 2, 9]])),
        grown(4, Some(&[&[3, 2, 2]])),
        grown(4, Some(&[&[]])),
        grown(4, Some(&[&[1, 2, 3], &[2, 3, 1]])),
        grown(5, Some(&[&[1, 2, 3]])),
        grown(5, Some(&[&[1, 2, 3], &[2, 3]])),
        grown(3, Some(&[&[1, 2, 3]])),
        grown(2, None),
    ];
    for request in requests {
        clusters.ask(3, &request, |_| ())?;
    }
    Ok(())
}
