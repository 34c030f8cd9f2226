//! Number of connections for which the process has file descriptors.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Maximum number of connections, even if more descriptors are available.
const MAX_CONNECTIONS: usize = 8192;
/// Descriptors reserved for everything except client connections: the database, NATS, the health reserve and files.
const RESERVED: u64 = 384;

/// Raises the open-file limit as far as the process may, logs the limit, and returns the number of connections that
/// fit.
pub(crate) fn connections_that_fit() -> usize {
    let before = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: before.maximum,
        maximum: before.maximum,
    };
    if before.current != before.maximum
        && let Err(error) = setrlimit(Resource::Nofile, raised)
    {
        tracing::warn!(
            event = "server.file_limit_not_raised",
            %error,
            "cannot raise the open-file limit",
        );
    }
    let descriptors = getrlimit(Resource::Nofile).current;
    let connections = fitting(descriptors);
    let descriptors = descriptors.unwrap_or(u64::MAX);
    if connections < MAX_CONNECTIONS {
        tracing::warn!(
            event = "server.file_limit_low",
            descriptors,
            connections,
            "open-file limit allows fewer connections than usual; raise it (ulimit -n)",
        );
    } else {
        tracing::info!(
            event = "server.connection_limit",
            descriptors,
            connections,
            "connection limit set",
        );
    }
    connections
}

/// Returns the number of connections that fit into `descriptors`; `None` is no limit. With too few descriptors, half of
/// them are for connections.
fn fitting(descriptors: Option<u64>) -> usize {
    let Some(descriptors) = descriptors else {
        return MAX_CONNECTIONS;
    };
    let left = descriptors.saturating_sub(RESERVED).max(descriptors / 2);
    usize::try_from(left).map_or(MAX_CONNECTIONS, |left| left.min(MAX_CONNECTIONS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_everything_else() {
        for (descriptors, connections) in [
            (None, MAX_CONNECTIONS),
            (Some(u64::MAX), MAX_CONNECTIONS),
            (Some(20_000), MAX_CONNECTIONS),
            (Some(1024), 640),
            (Some(256), 128),
            (Some(0), 0),
        ] {
            assert_eq!(fitting(descriptors), connections, "{descriptors:?}");
        }
    }
}
