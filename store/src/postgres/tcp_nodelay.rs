//! `TCP_NODELAY` on connections to PostgreSQL.
//!
//! sqlx 0.9.0 leaves it out (its issue 4335, mended by its pull request 4336, which no release has yet). Without it the
//! end of what is longer than a segment (64 KiB on the loopback, some 1,400 bytes on an Ethernet) waits until the other
//! side acknowledges the rest, which it puts off for 40 ms. Neither does sqlx say which socket is a connection's, so
//! that all of this process's are asked where they go. nix 0.26 is the last to take a descriptor by its number.

use std::fs;
use std::io;
use std::os::fd::RawFd;

use nix::errno::Errno;
use nix::sys::socket::{SockaddrStorage, getpeername, setsockopt, sockopt};
use sqlx::postgres::PgConnectOptions;

/// Whoever has just connected says so here. A connection without it is slow, and works.
pub(super) fn set_nodelay(options: &PgConnectOptions) {
    if options.get_socket().is_some() {
        return;
    }
    if let Err(error) = set_nodelay_on_port(options.get_port()) {
        tracing::warn!(event = "db.nodelay_failed", %error, "cannot set TCP_NODELAY");
    }
}

/// Tries all of them: another may be closed at this moment.
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

/// This process's TCP sockets that are connected to a port.
fn sockets_to(port: u16) -> io::Result<Vec<RawFd>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|text| text.parse().ok());
        found.extend(number.filter(|number| peer_port(*number) == Some(port)));
    }
    Ok(found)
}

/// `None` where it is not such a socket.
fn peer_port(descriptor: RawFd) -> Option<u16> {
    let peer: SockaddrStorage = getpeername(descriptor).ok()?;
    let v4 = peer.as_sockaddr_in().map(|value| value.port());
    v4.or_else(|| peer.as_sockaddr_in6().map(|in6| in6.port()))
}

#[cfg(test)]
mod tests {
    use nix::sys::socket::getsockopt;

    use super::*;
    use crate::engine::Engine as _;
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
