//! The proxy itself, between this process and a server that says everything again.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::door::{Door, Visitors};
use crate::network::{Network, Node};
use crate::origin::Processes;
use crate::ports::free_port;
use crate::seams::seams;

const CLIENTS: Node = Node::Clients;
const SERVER: Node = Node::Broker(1);

/// How long what must happen may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long it is watched that something does not happen.
const SILENCE: Duration = Duration::from_millis(100);

struct Setup {
    network: Arc<Network>,
    door: Door,
    address: String,
}

impl Setup {
    /// A server, and a door to it that is open.
    async fn start(visitors: Visitors) -> Self {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listener_port = server.local_addr().unwrap().port();
        let echoing = async move {
            loop {
                let (mut socket, _) = server.accept().await.unwrap();
                let echo = async move {
                    let (mut read, mut write) = socket.split();
                    // A connection that breaks is what some of these tests are about.
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                };
                drop(seams().spawn.spawn("echo", Box::pin(echo)));
            }
        };
        drop(seams().spawn.spawn("server", Box::pin(echoing)));
        let network = Arc::new(Network::default());
        let door = Door::new((free_port(), listener_port), SERVER, visitors, &network);
        door.open();
        let address = door.address();
        Self { network, door, address }
    }

    /// A connection that has carried something in both directions.
    async fn connection(&self) -> TcpStream {
        let connecting = async {
            loop {
                if let Ok(socket) = TcpStream::connect(&self.address).await {
                    return socket;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let mut socket = timeout(PATIENCE, connecting).await.unwrap();
        say(&mut socket, b"hello").await;
        hear(&mut socket, b"hello").await;
        socket
    }
}

async fn say(socket: &mut TcpStream, words: &[u8]) {
    socket.write_all(words).await.unwrap();
}

async fn hear(socket: &mut TcpStream, words: &[u8]) {
    let mut heard = vec![0; words.len()];
    timeout(PATIENCE, socket.read_exact(&mut heard)).await.unwrap().unwrap();
    assert_eq!(heard, words);
}

async fn hear_nothing(socket: &mut TcpStream) {
    let heard = timeout(SILENCE, socket.read_u8()).await;
    assert!(heard.is_err(), "{heard:?}");
}

#[tokio::test]
async fn bytes_pass_and_are_counted_by_direction() {
    let setup = Setup::start(Visitors::Clients).await;
    let mut socket = setup.connection().await;
    let much: Vec<u8> = (0..300_000_u32).map(|number| number.to_le_bytes()[0]).collect();
    let (mut read, mut write) = socket.split();
    let mut heard = vec![0; much.len()];
    let (said, read) = tokio::join!(biased; write.write_all(&much), read.read_exact(&mut heard));
    said.unwrap();
    read.unwrap();
    assert!(heard == much, "bytes changed on their way");
    socket.shutdown().await.unwrap();
    assert_eq!(socket.read(&mut [0]).await.unwrap(), 0, "the end passes as well");
    let expected = "hello".len() + much.len();
    assert_eq!(setup.network.carried(CLIENTS, SERVER), expected as u64);
    assert_eq!(setup.network.carried(SERVER, CLIENTS), expected as u64);
}

#[tokio::test]
async fn a_cut_in_either_direction_holds_back_what_is_said_until_it_is_healed() {
    for (from, to) in [(CLIENTS, SERVER), (SERVER, CLIENTS)] {
        let setup = Setup::start(Visitors::Clients).await;
        let mut socket = setup.connection().await;
        setup.network.change(from, to, |link| link.is_cut = true);
        let carried = setup.network.carried(CLIENTS, SERVER);
        say(&mut socket, b"anybody there").await;
        let is_heard = || setup.network.carried(CLIENTS, SERVER) > carried;
        if from == SERVER {
            let hearing = async {
                while !is_heard() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            timeout(PATIENCE, hearing).await.expect("the way there is open");
        }
        hear_nothing(&mut socket).await;
        assert_eq!(is_heard(), from == SERVER);
        setup.network.heal();
        hear(&mut socket, b"anybody there").await;
    }
}

#[tokio::test]
async fn a_delay_makes_everything_later_and_loses_nothing() {
    let setup = Setup::start(Visitors::Clients).await;
    let mut socket = setup.connection().await;
    let delay = Duration::from_millis(80);
    setup.network.change(CLIENTS, SERVER, |link| link.delay = delay);
    let clock = &seams().clock;
    let began = clock.monotonic();
    say(&mut socket, b"one").await;
    say(&mut socket, b"two").await;
    hear(&mut socket, b"onetwo").await;
    assert!(clock.monotonic() - began >= delay);
}

#[tokio::test]
async fn a_reset_breaks_a_connection_in_the_middle_of_what_it_carries() {
    let setup = Setup::start(Visitors::Clients).await;
    let mut socket = setup.connection().await;
    setup.network.change(SERVER, CLIENTS, |link| link.resets += 1);
    say(&mut socket, b"0123456789").await;
    let mut heard = Vec::new();
    let ended = timeout(PATIENCE, socket.read_to_end(&mut heard)).await.unwrap();
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert!(heard.len() < 10, "{heard:?}");
    // The next connection is a good one.
    setup.connection().await;
}

#[tokio::test]
async fn a_forgotten_connection_is_silent_for_ever_and_the_next_is_not() {
    let setup = Setup::start(Visitors::Clients).await;
    let mut socket = setup.connection().await;
    setup.network.change(CLIENTS, SERVER, |link| link.forgets += 1);
    // Both ends of the proxy notice it at their own time.
    setup.connection().await;
    say(&mut socket, b"anybody there").await;
    hear_nothing(&mut socket).await;
    setup.network.heal();
    hear_nothing(&mut socket).await;
}

#[tokio::test]
async fn a_closed_door_refuses_and_leaves_connections_alone() {
    let setup = Setup::start(Visitors::Clients).await;
    let mut socket = setup.connection().await;
    setup.door.close().await;
    let refusing = async {
        // A process that another test starts at this moment holds the listener's socket as well, until it
        // runs its own program: as long, the system still takes connections in.
        loop {
            match TcpStream::connect(&setup.address).await {
                Err(error) => return error,
                Ok(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    let refused = timeout(PATIENCE, refusing).await.unwrap();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    say(&mut socket, b"still here").await;
    hear(&mut socket, b"still here").await;
    setup.door.open();
    setup.connection().await;
}

#[tokio::test]
async fn brokers_are_known_by_their_processes_and_strangers_are_turned_away() {
    let processes = Arc::new(Processes::default());
    let setup = Setup::start(Visitors::Brokers(Arc::clone(&processes))).await;
    let me = Node::Broker(7);
    processes.add(std::process::id(), me);
    let _socket = setup.connection().await;
    assert_eq!(setup.network.carried(me, SERVER), 5);
    assert_eq!(setup.network.carried(SERVER, me), 5);
    processes.remove(std::process::id());
    let mut stranger = TcpStream::connect(&setup.address).await.unwrap();
    let answer = timeout(PATIENCE, stranger.read(&mut [0])).await.unwrap();
    assert!(matches!(answer, Ok(0) | Err(_)), "{answer:?}");
}
