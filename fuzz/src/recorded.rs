//! What real clients said to a broker, and partitions that brokers wrote meanwhile.
//!
//! `interop/run --record` writes `fuzz/traffic/flumen.txt`, one thing per line: `session CLIENT`,
//! followed by each `> REQUEST` of one connection and its `< RESPONSE`, both without the size in
//! front; `partition NAME`, followed by each `file NAME BYTES` of its directory. Bytes are in
//! hexadecimal digits, or `-` where there are none.

use std::sync::LazyLock;

use bytes::Bytes;

use crate::log_files::Files;

static RECORDING: LazyLock<Recording> = LazyLock::new(|| {
    let mut recording = Recording::default();
    recording.read(include_str!("../traffic/flumen.txt"));
    recording
});

#[derive(Default)]
struct Recording {
    sessions: Vec<Session>,
    partitions: Vec<Files>,
}

/// What went over one connection, in order.
pub type Session = Vec<Exchange>;

/// A request, with its response unless that was too large to keep.
pub struct Exchange {
    pub request: Bytes,
    pub response: Option<Bytes>,
}

pub fn sessions() -> &'static [Session] {
    &RECORDING.sessions
}

/// The files of partitions.
pub fn partitions() -> &'static [Files] {
    &RECORDING.partitions
}

impl Recording {
    fn read(&mut self, text: &str) {
        const ORDER: &str = "what belongs together stands together";
        for line in text.lines() {
            let (kind, rest) = line.split_once(' ').expect("every line says what it is");
            match kind {
                "#" => {}
                "session" => self.sessions.push(Session::new()),
                ">" => {
                    let request = bytes(rest).into();
                    let session = self.sessions.last_mut().expect(ORDER);
                    session.push(Exchange { request, response: None });
                }
                "<" => {
                    let session = self.sessions.last_mut().expect(ORDER);
                    session.last_mut().expect(ORDER).response = Some(bytes(rest).into());
                }
                "partition" => self.partitions.push(Files::new()),
                "file" => {
                    let (name, content) = rest.split_once(' ').expect("a name and bytes");
                    let files = self.partitions.last_mut().expect(ORDER);
                    files.insert(name.to_owned(), bytes(content));
                }
                _ => panic!("unknown kind of line: {kind}"),
            }
        }
    }
}

/// The bytes behind hexadecimal digits.
pub fn bytes(digits: &str) -> Vec<u8> {
    if digits == "-" {
        return Vec::new();
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).expect("it is a hexadecimal digit");
    let pairs = digits.as_bytes().chunks_exact(2);
    pairs
        .map(|pair| u8::try_from(digit(pair[0]) << 4 | digit(pair[1])).expect("two digits"))
        .collect()
}
