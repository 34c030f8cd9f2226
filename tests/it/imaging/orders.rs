//! `/imaging/orders`.

mod concurrent;
mod created;
mod listed;
mod moved;
mod on_two_servers;
mod paged;
mod read;
mod refers;
mod refused;
mod repeated;
