//! PostgreSQL as others may have it: reached over a network that is not ours, and with more rights than the server
//! needs.

mod logins;
mod tls;
