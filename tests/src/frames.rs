//! HTTP/2 by hand (RFC 9113): what no client library would send.

/// The frame types that are sent and looked for (section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A part of a body.
    Data = 0,
    /// A request's or an answer's headers.
    Headers = 1,
    /// The end of a stream, RST_STREAM.
    Reset = 3,
    /// What a side wants of the other one.
    Settings = 4,
    /// Whether the other side is there.
    Ping = 6,
    /// The end of the connection.
    GoAway = 7,
    /// Room for more of an answer.
    WindowUpdate = 8,
}

/// The flag of a stream's last frame.
pub const END_STREAM: u8 = 0x1;
/// The flag of an answer to settings or to a ping.
pub const ACK: u8 = 0x1;
/// The flag of headers that are whole.
pub const END_HEADERS: u8 = 0x4;
/// What a connection begins with.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A frame's head, in bytes.
pub const HEAD: usize = 9;

/// A frame. Its length has three bytes, so that a payload has less than 16 MiB.
pub fn frame(kind: Kind, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [.., high, middle, low] = payload.len().to_be_bytes();
    let mut bytes = vec![high, middle, low, kind as u8, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A connection's beginning, with this window for each stream's answer.
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

/// The headers of a request as HPACK (RFC 7541), nothing of it indexed but the names of pseudo-headers.
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

/// A whole GET.
pub fn get(stream: u32, path: &str, others: &[(&str, &str)]) -> Vec<u8> {
    let block = headers("GET", path, others);
    frame(Kind::Headers, END_HEADERS | END_STREAM, stream, &block)
}

/// A string (section 5.2): its length as an integer whose first byte has 7 bits (section 5.1), and its bytes.
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
