//! Several nodes on one PostgreSQL: killed, stopped, started again one after the other, and taken over from.

pub(crate) mod audit;
pub(crate) mod caller;
mod fleet;
pub(crate) mod load;
mod mixed;
mod rolling;
mod taken_over;
pub(crate) mod watch;
