//! `TCP_NODELAY` on connections to PostgreSQL.
//!
//! sqlx 0.9.0 leaves it out (its issue 4335, mended by its pull request 4336, which no release has yet). Without it the end
//! of what is longer than a segment (64 KiB on the loopback, some 1,400 bytes on an Ethernet) waits until the other side
//! acknowledges the rest, which it puts off for 40 ms. Neither does sqlx say which socket is a connection's: the process
//! takes a second descriptor of each of its own that goes to the database's port.

use std::fs;
use std::io;

use rustix::fd::OwnedFd;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use socket2::SockRef;
use sqlx::postgres::PgConnectOptions;

/// Whoever has just connected says so here. A connection without it is slow, and works.
pub(super) fn connected(options: &PgConnectOptions) {
    if options.get_socket().is_some() {
        return;
    }
    if let Err(error) = undelay(options.get_port()) {
        tracing::warn!(%error, "TCP_NODELAY is not set");
    }
}

fn undelay(port: u16) -> io::Result<()> {
    for socket in sockets_to(port)? {
        SockRef::from(&socket).set_tcp_nodelay(true)?;
    }
    Ok(())
}

/// This process's TCP sockets that are connected to a port.
fn sockets_to(port: u16) -> io::Result<Vec<OwnedFd>> {
    let this = pidfd_open(getpid(), PidfdFlags::empty())?;
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        if !is_socket(&entry) {
            continue;
        }
        let Some(number) = entry.file_name().to_str().and_then(|it| it.parse().ok()) else {
            continue;
        };
        let socket = match pidfd_getfd(&this, number, PidfdGetfdFlags::empty()) {
            // Closed meanwhile.
            Err(rustix::io::Errno::BADF) => continue,
            socket => socket?,
        };
        let peer = SockRef::from(&socket).peer_addr().ok();
        let peer = peer.and_then(|it| it.as_socket());
        if peer.is_some_and(|it| it.port() == port) {
            found.push(socket);
        }
    }
    Ok(found)
}

/// A file must not be touched: whoever closes a second descriptor of it gives up the process's locks on it.
fn is_socket(descriptor: &fs::DirEntry) -> bool {
    let target = fs::read_link(descriptor.path());
    target.is_ok_and(|it| it.to_string_lossy().starts_with("socket:"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine as _;
    use crate::postgres::testing::Database;

    fn assert_all_undelayed(database: &Database) {
        let url: PgConnectOptions = database.url().parse().unwrap();
        let sockets = sockets_to(url.get_port()).unwrap();
        assert!(!sockets.is_empty());
        for socket in &sockets {
            assert!(SockRef::from(socket).tcp_nodelay().unwrap());
        }
    }

    #[tokio::test]
    async fn connections_do_not_wait_for_acknowledgements() {
        let database = Database::create().await;
        database.head().await.unwrap();
        assert_all_undelayed(&database);
        let _appends = database.server().await;
        assert_all_undelayed(&database);
        let _hears = database.hearing().await.unwrap();
        assert_all_undelayed(&database);
    }
}
