//! Several nodes on one PostgreSQL: killed, stopped, started again one after the other, and taken over from.

pub(crate) mod audit;
pub(crate) mod failover_client;
pub(crate) mod lag_monitor;
mod leader_failover;
pub(crate) mod load;
mod mixed_faults;
mod rolling_restart;
mod test_cluster;
