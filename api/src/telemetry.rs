//! Logs and metrics of the process. Logs go to standard error: as text on a terminal, otherwise as JSON.

use std::io::IsTerminal as _;
use std::sync::OnceLock;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use roentgen_store::lifecycle::BackgroundTasks;
use tracing_subscriber::EnvFilter;

use crate::app::Metrics;

const SECONDS: &[f64] = &[
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
];
const BATCH_SIZES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];
const UPKEEP: Duration = Duration::from_secs(5);

/// Starts logging; `filter` has the syntax of `RUST_LOG`.
pub(crate) fn log(filter: EnvFilter) {
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let started = if std::io::stderr().is_terminal() {
        logs.try_init()
    } else {
        logs.json().flatten_event(true).with_ansi(false).try_init()
    };
    if let Err(error) = started {
        tracing::debug!(event = "telemetry.log_already_set", %error, "logger already initialised");
    }
}

/// Returns the metrics of the process; the first call starts collecting them.
pub(crate) fn metrics(tasks: &BackgroundTasks) -> Metrics {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    let handle = HANDLE.get_or_init(collect).clone();
    let upkeep = handle.clone();
    let stop = tasks.token();
    tasks.spawn("metrics upkeep", async move {
        let mut tick = tokio::time::interval(UPKEEP);
        loop {
            tokio::select! {
                _ = tick.tick() => upkeep.run_upkeep(),
                () = stop.cancelled() => return,
            }
        }
    });
    Metrics(handle)
}

fn collect() -> PrometheusHandle {
    let builder = PrometheusBuilder::new();
    let builder = with_buckets(builder, Matcher::Suffix("_seconds".to_owned()), SECONDS);
    let builder = with_buckets(
        builder,
        Matcher::Suffix("_batch_size".to_owned()),
        BATCH_SIZES,
    );
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_err() {
        tracing::warn!(
            event = "telemetry.recorder_already_set",
            "metrics recorder already installed",
        );
    }
    handle
}

fn with_buckets(builder: PrometheusBuilder, of: Matcher, buckets: &[f64]) -> PrometheusBuilder {
    let fallback = PrometheusBuilder::new();
    builder
        .set_buckets_for_metric(of, buckets)
        .unwrap_or(fallback)
}
