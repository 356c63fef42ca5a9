//! HTTP for people and monitoring: `/health` and `/metrics`.
//!
//! It runs on the same network seam as everything else. Nothing here changes anything.

mod stream;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flumen_client::connection::Listener;
use tokio::sync::watch;
use tracing::warn;

use self::stream::Streams;
use crate::api::Context;

/// What `/metrics` is written in.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves until the broker stops.
pub(crate) async fn serve(
    listener: Box<dyn Listener>,
    ctx: Arc<Context>,
    mut stop: watch::Receiver<bool>,
) {
    let router =
        Router::new().route("/health", get(health)).route("/metrics", get(metrics)).with_state(ctx);
    let stopped = async move {
        drop(stop.wait_for(|is_stopping| *is_stopping).await);
    };
    let served = axum::serve(Streams::new(listener), router).with_graceful_shutdown(stopped);
    if let Err(error) = served.await {
        warn!(%error, "http is not served any more");
    }
}

/// 200 while everything this broker leads can be used, else 503 with the reason.
async fn health(State(ctx): State<Arc<Context>>) -> Response {
    if ctx.data_dir.has_failed() {
        return unwell("the disk has failed: nothing can be written until the broker restarts");
    }
    match ctx.partitions.offline_count() {
        0 => (StatusCode::OK, "ok\n").into_response(),
        count => unwell(&format!("{count} partitions are offline, the log says why")),
    }
}

fn unwell(reason: &str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response()
}

async fn metrics(State(ctx): State<Arc<Context>>) -> Response {
    match ctx.metrics.page() {
        Ok(page) => ([(header::CONTENT_TYPE, OPEN_METRICS)], page).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
