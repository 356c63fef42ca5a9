//! What strangers send: garbage, half frames, huge lengths. It costs them their connection, and
//! nobody else anything; a well-behaved client works on all the while.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use crate::broker_process::{BrokerProcess, flumen};

/// How long the broker may take to close a connection that deserves it.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn bad_bytes_close_their_own_connection_only() {
    let data = tempfile::tempdir().unwrap();
    let mut broker = BrokerProcess::start(data.path());
    for (name, bytes) in bad_input() {
        let mut stranger = connect(&broker);
        // It may be closed before all is written.
        let _ = stranger.write_all(&bytes);
        let _ = stranger.shutdown(Shutdown::Write);
        assert!(is_closed(&mut stranger), "{name}: the connection stayed open");
        assert!(broker.is_running(), "{name}: the broker died");
        well_behaved(&broker);
    }
    assert_eq!(broker.stop(), Some(0));
}

#[test]
fn half_frames_block_nobody() {
    let data = tempfile::tempdir().unwrap();
    let broker = BrokerProcess::start(data.path());
    let frame = api_versions(0);
    let mut strangers = Vec::new();
    for cut in 0..frame.len() {
        let mut stranger = connect(&broker);
        // Whoever has shown that it speaks the protocol has more time to end its next frame than
        // this test takes.
        stranger.write_all(&frame).unwrap();
        assert_eq!(correlation_id(&mut stranger), 7);
        stranger.write_all(&frame[..cut]).unwrap();
        strangers.push(stranger);
    }
    well_behaved(&broker);
    // Each of them may go on where it stopped.
    for (cut, mut stranger) in strangers.into_iter().enumerate() {
        stranger.write_all(&frame[cut..]).unwrap();
        assert_eq!(correlation_id(&mut stranger), 7, "cut at {cut}");
    }
}

#[test]
fn an_announced_length_costs_no_memory() {
    let data = tempfile::tempdir().unwrap();
    let broker = BrokerProcess::start(data.path());
    // Large, but allowed to those who have shown that they speak the protocol.
    let announced = (90_i32 * 1024 * 1024).to_be_bytes();
    let strangers: Vec<TcpStream> = (0..20)
        .map(|_| {
            let mut stranger = connect(&broker);
            stranger.write_all(&api_versions(0)).unwrap();
            assert_eq!(correlation_id(&mut stranger), 7);
            stranger.write_all(&announced).unwrap();
            stranger
        })
        .collect();
    well_behaved(&broker);
    let resident = broker.resident_bytes();
    assert!(resident < 300 << 20, "{resident} bytes are resident for 20 announcements");
    drop(strangers);
}

#[test]
fn an_unknown_version_of_api_versions_is_answered_with_what_is_known() {
    let data = tempfile::tempdir().unwrap();
    let broker = BrokerProcess::start(data.path());
    let mut stranger = connect(&broker);
    stranger.write_all(&api_versions(99)).unwrap();
    let frame = read_frame(&mut stranger);
    assert_eq!(frame[..4], 7_i32.to_be_bytes());
    assert_eq!(frame[4..6], 35_i16.to_be_bytes(), "UNSUPPORTED_VERSION");
}

/// Inputs that no client sends.
fn bad_input() -> Vec<(&'static str, Vec<u8>)> {
    let framed = |body: &[u8]| {
        let length = i32::try_from(body.len()).unwrap();
        [&length.to_be_bytes()[..], body].concat()
    };
    // A linear congruential sequence: the same noise in every run.
    let mut state = 12_345_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    })
    .take(4096)
    .collect();
    vec![
        ("a request of another protocol", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
        ("noise", noise.clone()),
        ("framed noise", framed(&noise)),
        ("a negative length", (-1_i32).to_be_bytes().to_vec()),
        ("the largest length", [&i32::MAX.to_be_bytes()[..], &noise].concat()),
        ("an empty frame", framed(b"")),
        ("a short header", framed(&[0, 18, 0])),
        ("an unknown api", framed(&[0x7f, 0xff, 0, 0, 0, 0, 0, 7, 0xff, 0xff])),
        ("an unknown version", framed(&[0, 3, 0x7f, 0xff, 0, 0, 0, 7, 0xff, 0xff])),
        // Metadata v0 that announces two thousand million topics.
        ("a lying count", framed(&[0, 3, 0, 0, 0, 0, 0, 7, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff])),
        ("a lying text length", framed(&[0, 3, 0, 0, 0, 0, 0, 7, 0x7f, 0xff])),
    ]
}

/// ApiVersions with correlation id 7 and no client id.
fn api_versions(version: i16) -> Vec<u8> {
    let mut body = 18_i16.to_be_bytes().to_vec();
    body.extend(version.to_be_bytes());
    body.extend(7_i32.to_be_bytes());
    body.extend((-1_i16).to_be_bytes());
    if version >= 3 {
        // No tagged fields: the header of version 2.
        body.push(0);
    }
    [&i32::try_from(body.len()).unwrap().to_be_bytes()[..], &body].concat()
}

fn connect(broker: &BrokerProcess) -> TcpStream {
    let stream = TcpStream::connect(broker.bootstrap()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Reads whatever comes until the broker closes.
fn is_closed(stream: &mut TcpStream) -> bool {
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() == ErrorKind::ConnectionReset,
        }
    }
}

fn read_frame(stream: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut frame = vec![0; usize::try_from(i32::from_be_bytes(length)).unwrap()];
    stream.read_exact(&mut frame).unwrap();
    frame
}

fn correlation_id(stream: &mut TcpStream) -> i32 {
    i32::from_be_bytes(*read_frame(stream).first_chunk().unwrap())
}

/// A client that asks for something real.
fn well_behaved(broker: &BrokerProcess) {
    let answer = flumen(&broker.bootstrap(), &["cluster", "info"]);
    assert!(answer.status.success(), "{answer:?}");
}
