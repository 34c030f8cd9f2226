//! HTTP/2 by hand (RFC 9113): what no client library would send.

/// The frame types that the stories send and look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Data = 0,
    Headers = 1,
    Reset = 3,
    Settings = 4,
    Ping = 6,
    GoAway = 7,
    WindowUpdate = 8,
}

pub(crate) const END_STREAM: u8 = 0x1;
pub(crate) const ACK: u8 = 0x1;
pub(crate) const END_HEADERS: u8 = 0x4;
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A frame's head, in bytes.
pub(crate) const HEAD: usize = 9;

/// A frame.
pub(crate) fn frame(kind: Kind, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind as u8, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A connection's beginning, with this window for each stream's answer.
pub(crate) fn begin(window: u32) -> Vec<u8> {
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
pub(crate) fn headers(method: &str, path: &str, others: &[(&str, &str)]) -> Vec<u8> {
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
pub(crate) fn get(stream: u32, path: &str, others: &[(&str, &str)]) -> Vec<u8> {
    let block = headers("GET", path, others);
    frame(Kind::Headers, END_HEADERS | END_STREAM, stream, &block)
}

fn text(block: &mut Vec<u8>, text: &str) {
    let length = u8::try_from(text.len()).unwrap();
    if length < 127 {
        block.push(length);
    } else {
        block.extend([127, length - 127]);
    }
    block.extend(text.as_bytes());
}
