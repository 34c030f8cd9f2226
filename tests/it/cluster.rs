//! Several nodes on one PostgreSQL: killed, stopped, restarted one after the other, with failover.

pub(crate) mod audit;
pub(crate) mod failover_client;
pub(crate) mod lag_monitor;
mod leader_failover;
pub(crate) mod load;
mod mixed_faults;
mod rolling_restart;
mod test_cluster;
