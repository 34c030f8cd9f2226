//! Sets `TCP_NODELAY` on connections to PostgreSQL.
//!
//! sqlx 0.9.0 does not set the option (issue 4335, fixed by pull request 4336, which is in no release yet). Without it,
//! the end of a message longer than a segment (64 KiB on loopback, about 1,400 bytes on Ethernet) waits until the peer
//! acknowledges the rest, which the peer delays by 40 ms. sqlx does not expose a connection's socket either, so all
//! sockets of this process are checked for their destination. nix 0.26 is the last version that accepts a descriptor by
//! its number.

use std::fs;
use std::io;
use std::os::fd::RawFd;

use nix::errno::Errno;
use nix::sys::socket::{SockaddrStorage, getpeername, setsockopt, sockopt};
use sqlx::postgres::PgConnectOptions;

/// Sets the option. Called after every connect. A connection without the option is slow but works.
pub(super) fn set_nodelay(options: &PgConnectOptions) {
    if options.get_socket().is_some() {
        return;
    }
    if let Err(error) = set_nodelay_on_port(options.get_port()) {
        tracing::warn!(event = "db.nodelay_failed", %error, "cannot set TCP_NODELAY");
    }
}

/// Sets the option on all sockets to `port`; one of them may be closed at this moment.
fn set_nodelay_on_port(port: u16) -> io::Result<()> {
    let mut tried = Ok(());
    for socket in sockets_to(port)? {
        match setsockopt(socket, sockopt::TcpNoDelay, &true) {
            Ok(()) | Err(Errno::EBADF) => {}
            Err(error) => tried = Err(error.into()),
        }
    }
    tried
}

/// Returns this process's TCP sockets that are connected to `port`.
fn sockets_to(port: u16) -> io::Result<Vec<RawFd>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|text| text.parse().ok());
        found.extend(number.filter(|number| peer_port(*number) == Some(port)));
    }
    Ok(found)
}

/// Returns the peer's port, or `None` if the descriptor is not such a socket.
fn peer_port(descriptor: RawFd) -> Option<u16> {
    let peer: SockaddrStorage = getpeername(descriptor).ok()?;
    let v4 = peer.as_sockaddr_in().map(|value| value.port());
    v4.or_else(|| peer.as_sockaddr_in6().map(|in6| in6.port()))
}

#[cfg(test)]
mod tests {
    use nix::sys::socket::getsockopt;

    use super::*;
    use crate::engine::EventLog as _;
    use crate::postgres::test_support::PostgresFixture;

    fn assert_all_undelayed(database: &PostgresFixture) {
        let url: PgConnectOptions = database.url().parse().unwrap();
        let sockets = sockets_to(url.get_port()).unwrap();
        assert!(!sockets.is_empty());
        for socket in sockets {
            assert!(getsockopt(socket, sockopt::TcpNoDelay).unwrap());
        }
    }

    #[tokio::test]
    async fn connections_do_not_wait_for_acknowledgements() {
        let database = PostgresFixture::create().await;
        database.head().await.unwrap();
        assert_all_undelayed(&database);
        let _appends = database.server().await;
        assert_all_undelayed(&database);
        let _hears = database.listen().await.unwrap();
        assert_all_undelayed(&database);
    }
}
