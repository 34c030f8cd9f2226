//! PostgreSQL in unsafe setups: reached over an untrusted network, and with more privileges than the server needs.

mod logins;
mod tls;
