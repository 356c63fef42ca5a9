//! DescribeCluster (key 60), v0–v2. Names the cluster and its brokers.
//! v1 asks brokers or controllers (KIP-919) · v2 brokers out of service too (KIP-1073).
//! Differs from Kafka: the controller is the broker that leads the metadata quorum if it is in service,
//! where Kafka names any broker.

use flumen_protocol::ErrorCode;
use flumen_protocol::messages::describe_cluster::{
    DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse,
};

use super::authorized_operations::{CLUSTER, NOT_ASKED};
use super::{Call, Context};

const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

pub(super) async fn handle(
    ctx: &Context,
    call: &Call,
    request: DescribeClusterRequest,
) -> DescribeClusterResponse {
    match request.endpoint_type {
        BROKERS => {}
        CONTROLLERS => {
            return refusal(
                ErrorCode::MismatchedEndpointType,
                "The request was sent to an endpoint of brokers, and asks for one of controllers"
                    .to_owned(),
            );
        }
        other => {
            let message = format!("Unsupported endpoint type {other}");
            return refusal(ErrorCode::UnsupportedEndpointType, message);
        }
    }
    let image = ctx.controller.image();
    let shows_fenced = call.version >= 2 && request.include_fenced_brokers;
    let brokers = image
        .brokers()
        .filter(|broker| shows_fenced || !broker.fenced)
        .filter_map(|broker| {
            let endpoint = broker.endpoint(&ctx.listener_name)?;
            Some(DescribeClusterBroker {
                broker_id: broker.id,
                host: endpoint.host.clone(),
                port: i32::from(endpoint.port),
                rack: broker.rack.clone(),
                is_fenced: broker.fenced,
            })
        })
        .collect();
    let asked = request.include_cluster_authorized_operations;
    DescribeClusterResponse {
        cluster_id: image.cluster_id().to_owned(),
        controller_id: ctx.named_controller(&image),
        brokers,
        cluster_authorized_operations: if asked { CLUSTER } else { NOT_ASKED },
        ..Default::default()
    }
}

fn refusal(error: ErrorCode, message: String) -> DescribeClusterResponse {
    DescribeClusterResponse {
        error_code: error.code(),
        error_message: Some(message),
        ..Default::default()
    }
}
