//! A connection that sends what it likes, byte by byte, from an address of its choice.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::time::Duration;

use flumen_protocol::header::{RequestHeader, ResponseHeader};
use flumen_protocol::{FrameWriter, Reader, Request};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};

use crate::broker_process::BrokerProcess;

/// How long an answer, or the end of a connection, is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// The client's end of a connection.
#[derive(Debug)]
pub(crate) struct Stranger(TcpStream);

impl Stranger {
    /// Connects from the usual address.
    pub(crate) fn new(broker: &BrokerProcess) -> Self {
        Self::from(Ipv4Addr::LOCALHOST, broker)
    }

    /// Connects from an address in 127.0.0.0/8.
    pub(crate) fn from(address: Ipv4Addr, broker: &BrokerProcess) -> Self {
        // Processes that other tests start meanwhile must not keep the connection open.
        let kept_here = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, kept_here, None).unwrap();
        bind(&socket, &SocketAddrV4::new(address, 0)).unwrap();
        connect(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, broker.port)).unwrap();
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true).unwrap();
        let stranger = Self(stream);
        stranger.set_patience(PATIENCE);
        stranger
    }

    /// Waits so long for bytes from now on.
    pub(crate) fn set_patience(&self, patience: Duration) {
        self.0.set_read_timeout(Some(patience)).unwrap();
    }

    /// Sends bytes, giving up when none are taken for so long.
    pub(crate) fn set_insistence(&self, time: Duration) {
        self.0.set_write_timeout(Some(time)).unwrap();
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    /// Reads one frame.
    pub(crate) fn read_frame(&mut self) -> io::Result<Vec<u8>> {
        let mut size = [0; 4];
        self.0.read_exact(&mut size)?;
        let mut frame = vec![0; usize::try_from(i32::from_be_bytes(size)).unwrap()];
        self.0.read_exact(&mut frame)?;
        Ok(frame)
    }

    /// Sends a request and reads its answer.
    pub(crate) fn ask<R: Request>(&mut self, version: i16, request: &R) -> io::Result<R::Response> {
        self.send(&frame(version, request))?;
        let mut reader = Reader::new(self.read_frame()?.into());
        ResponseHeader::decode(&mut reader, R::API_KEY.key(), version).unwrap();
        Ok(flumen_protocol::Message::decode(&mut reader, version).unwrap())
    }

    /// Reads whatever comes until the broker ends the connection; false if it does not.
    pub(crate) fn is_closed(&mut self) -> bool {
        let mut buffer = [0; 65_536];
        loop {
            match self.0.read(&mut buffer) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() == io::ErrorKind::ConnectionReset,
            }
        }
    }
}

/// A request with its length.
pub(crate) fn frame<R: Request>(version: i16, request: &R) -> Vec<u8> {
    let header = RequestHeader {
        api_key: R::API_KEY.key(),
        api_version: version,
        correlation_id: 7,
        client_id: Some("stranger".to_owned()),
    };
    let mut writer = FrameWriter::new();
    header.encode(&mut writer).unwrap();
    request.encode(&mut writer, version).unwrap();
    writer.finish().unwrap().read().unwrap().to_vec()
}
