//! HTTP/2 frames (RFC 9113) written by hand, to send what no client library would send.

/// Frame types that tests send or expect (section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// DATA: part of a body.
    Data = 0,
    /// HEADERS of a request or response.
    Headers = 1,
    /// RST_STREAM: the end of a stream.
    Reset = 3,
    /// SETTINGS.
    Settings = 4,
    /// PING.
    Ping = 6,
    /// GOAWAY: the end of the connection.
    GoAway = 7,
    /// WINDOW_UPDATE: room for more of a response.
    WindowUpdate = 8,
}

/// Flag of a stream's last frame.
pub const END_STREAM: u8 = 0x1;
/// Flag of the reply to SETTINGS or PING.
pub const ACK: u8 = 0x1;
/// Flag of a complete header block.
pub const END_HEADERS: u8 = 0x4;
/// Connection preface of the client.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Length of a frame header, in bytes.
pub const HEAD: usize = 9;

/// Encodes a frame. The length field has 3 bytes, so a payload is smaller than 16 MiB.
pub fn frame(kind: Kind, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [.., high, middle, low] = payload.len().to_be_bytes();
    let mut bytes = vec![high, middle, low, kind as u8, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Encodes the start of a connection, with this window for the response of each stream.
pub fn begin(window: u32) -> Vec<u8> {
    const INITIAL_WINDOW_SIZE: u16 = 4;
    let name = INITIAL_WINDOW_SIZE.to_be_bytes().to_vec();
    let setting = [name, window.to_be_bytes().to_vec()];
    [
        PREFACE,
        &frame(Kind::Settings, 0, 0, &setting.concat()),
        &frame(Kind::Settings, ACK, 0, &[]),
    ]
    .concat()
}

/// Encodes the headers of a request as HPACK (RFC 7541); only the names of pseudo-headers are indexed.
pub fn headers(method: &str, path: &str, others: &[(&str, &str)]) -> Vec<u8> {
    const AUTHORITY: u8 = 1;
    const METHOD: u8 = 2;
    const PATH: u8 = 4;
    const SCHEME_HTTP: u8 = 0x86;
    let mut block = vec![SCHEME_HTTP];
    for (name, value) in [(METHOD, method), (PATH, path), (AUTHORITY, "localhost")] {
        block.push(name);
        text(&mut block, value);
    }
    for (name, value) in others {
        block.push(0);
        text(&mut block, name);
        text(&mut block, value);
    }
    block
}

/// Encodes a complete GET request.
pub fn get(stream: u32, path: &str, others: &[(&str, &str)]) -> Vec<u8> {
    let block = headers("GET", path, others);
    frame(Kind::Headers, END_HEADERS | END_STREAM, stream, &block)
}

/// Encodes a string (section 5.2): its length as an integer with a 7-bit prefix (section 5.1), then its bytes.
fn text(block: &mut Vec<u8>, text: &str) {
    const FIRST_BYTE_FULL: usize = 127;
    if text.len() < FIRST_BYTE_FULL {
        block.push(text.len() as u8);
    } else {
        block.push(FIRST_BYTE_FULL as u8);
        let mut rest = text.len() - FIRST_BYTE_FULL;
        while rest >= 0x80 {
            block.push((rest % 0x80) as u8 | 0x80);
            rest /= 0x80;
        }
        block.push(rest as u8);
    }
    block.extend(text.as_bytes());
}
