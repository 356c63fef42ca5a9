//! Proposals of in-sync sets on their way to the controller, wherever that is.

use std::sync::Arc;

use flumen_client::connection::BoxFuture;

use super::{InSyncChange, ProposalOutcome, ProposeInSync};
use crate::controller::{
    self, AlterPartitionError, AlterPartitions, Control, ControlRequest, ControlResponse,
    Controller, InSyncAnswer,
};

/// The proposals of one start of a broker.
#[derive(Debug)]
pub(crate) struct Proposer {
    broker_id: i32,
    broker_epoch: i64,
    controller: Controller,
    control: Arc<dyn Control>,
}

impl Proposer {
    pub(crate) fn new(
        broker_id: i32,
        broker_epoch: i64,
        controller: Controller,
        control: Arc<dyn Control>,
    ) -> Self {
        Self { broker_id, broker_epoch, controller, control }
    }
}

impl ProposeInSync for Proposer {
    fn propose(&self, changes: Vec<InSyncChange>) -> BoxFuture<'static, Vec<ProposalOutcome>> {
        let control = Arc::clone(&self.control);
        let request = AlterPartitions {
            broker_id: self.broker_id,
            broker_epoch: self.broker_epoch,
            partitions: changes.into_iter().map(change).collect(),
        };
        Box::pin(async move {
            match control.ask(ControlRequest::AlterPartitions(request)).await {
                Ok(ControlResponse::AlteredPartitions(Ok(answers))) => {
                    answers.into_iter().map(outcome).collect()
                }
                // A later start of this broker decides what becomes of its partitions; and without an
                // answer nobody knows.
                Ok(_) | Err(_) => Vec::new(),
            }
        })
    }

    fn in_service(&self, broker: i32) -> Option<i64> {
        let image = self.controller.image();
        let epoch = image.broker(broker)?.epoch;
        image.is_active(broker).then_some(epoch)
    }
}

fn change(InSyncChange { topic_id, index, proposal }: InSyncChange) -> controller::InSyncChange {
    controller::InSyncChange {
        topic_id,
        partition_index: index,
        leader_epoch: proposal.leader_epoch,
        partition_epoch: proposal.partition_epoch,
        in_sync: proposal.in_sync,
    }
}

fn outcome(answer: InSyncAnswer) -> ProposalOutcome {
    match answer {
        Ok(state) => ProposalOutcome::Accepted {
            leader_epoch: state.leader_epoch,
            partition_epoch: state.partition_epoch,
            in_sync: state.in_sync,
        },
        Err(AlterPartitionError::InvalidInSync | AlterPartitionError::IneligibleReplica { .. }) => {
            ProposalOutcome::Refused
        }
        Err(
            AlterPartitionError::UnknownTopic
            | AlterPartitionError::UnknownPartition
            | AlterPartitionError::FromTheFuture
            | AlterPartitionError::FencedLeaderEpoch
            | AlterPartitionError::NotThisLeader
            | AlterPartitionError::FencedPartitionEpoch,
        ) => ProposalOutcome::Outdated,
    }
}
