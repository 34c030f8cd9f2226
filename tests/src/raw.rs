//! A client that sends raw bytes and observes when its connection is closed.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::frames::{self, ACK, Kind};

/// Longer than any silent connection may stay open, with reserve for a busy machine.
pub const CLOSED_WITHIN: Duration = Duration::from_secs(60);

/// TCP connection to the server.
#[derive(Debug)]
pub struct Raw {
    /// Socket, for sending further bytes.
    pub stream: TcpStream,
    unread: Vec<u8>,
}

/// Received HTTP/2 frame.
#[derive(Debug)]
pub struct Frame {
    /// Frame type.
    pub kind: u8,
    /// Flags.
    pub flags: u8,
    /// Stream id; 0 for the connection.
    pub stream: u32,
    /// Payload.
    pub payload: Vec<u8>,
}

impl Frame {
    /// Returns whether the frame has this type and this stream.
    pub fn is(&self, kind: Kind, stream: u32) -> bool {
        (self.kind, self.stream) == (kind as u8, stream)
    }
}

impl Raw {
    /// Connects to a server at `http://HOST:PORT` from this loopback address.
    pub async fn connect(base: &str, from: Ipv4Addr) -> Result<Self> {
        let place: SocketAddr = base.trim_start_matches("http://").parse()?;
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(IpAddr::V4(from), 0))?;
        let stream = socket.connect(place).await?;
        Ok(Self {
            stream,
            unread: Vec::new(),
        })
    }

    /// Connects and sends only these bytes.
    pub async fn send(base: &str, bytes: &[u8]) -> Result<Self> {
        let mut raw = Self::connect(base, Ipv4Addr::LOCALHOST).await?;
        raw.stream.write_all(bytes).await?;
        Ok(raw)
    }

    /// Reads until the connection is closed and returns the received bytes, or `None` if it is still open after
    /// [`CLOSED_WITHIN`].
    pub async fn closed(&mut self) -> Option<Vec<u8>> {
        let mut came = Vec::new();
        let closed = self.stream.read_to_end(&mut came);
        // A reset also closes the connection.
        let closed = tokio::time::timeout(CLOSED_WITHIN, closed).await.is_ok();
        closed.then_some(came)
    }

    /// Returns whether the response starts with these bytes.
    pub async fn starts_with(&mut self, begin: &[u8]) -> Result<bool> {
        let mut came = vec![0; begin.len()];
        let read = self.stream.read_exact(&mut came);
        tokio::time::timeout(CLOSED_WITHIN, read).await??;
        Ok(came == begin)
    }

    /// Returns the next frame and replies to pings, or returns `None` if the connection is closed.
    pub async fn frame(&mut self) -> Result<Option<Frame>> {
        let next = tokio::time::timeout(CLOSED_WITHIN, async {
            loop {
                let Some(frame) = self.any_frame().await? else {
                    return Ok(None);
                };
                if frame.kind == Kind::Ping as u8 && frame.flags & ACK == 0 {
                    let pong = frames::frame(Kind::Ping, ACK, 0, &frame.payload);
                    let _ = self.stream.write_all(&pong).await;
                    continue;
                }
                return Ok(Some(frame));
            }
        });
        next.await.context("neither a frame nor the end came")?
    }

    async fn any_frame(&mut self) -> Result<Option<Frame>> {
        loop {
            if let Some(frame) = self.parsed() {
                return Ok(Some(frame));
            }
            match self.stream.read_buf(&mut self.unread).await {
                Ok(0) | Err(_) => return Ok(None),
                Ok(_read) => {}
            }
        }
    }

    fn parsed(&mut self) -> Option<Frame> {
        let head = self.unread.first_chunk::<{ frames::HEAD }>()?;
        let [high, middle, low, kind, flags, stream @ ..] = *head;
        let length = u32::from_be_bytes([0, high, middle, low]) as usize;
        let stream = u32::from_be_bytes(stream);
        let payload = self.unread.get(frames::HEAD..frames::HEAD + length)?;
        let payload = payload.to_vec();
        self.unread.drain(..frames::HEAD + length);
        Some(Frame {
            kind,
            flags,
            stream,
            payload,
        })
    }
}
