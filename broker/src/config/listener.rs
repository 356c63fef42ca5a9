//! Where the broker listens, what clients are told, and who it is.
//!
//! A bind that other machines can reach needs `insecure = true` for as long as Flumen has no TLS
//! and no authentication; the rule is checked here, once, for every listener.

use std::fmt;
use std::net::IpAddr;

use super::definition::{Definition, Kind, items};
use super::error::{ConfigError, Problem};
use super::settings::Settings;
use super::validator::Valid;

pub(super) const DEFINITIONS: &[Definition] = &[
    Definition::broker(
        "node.id",
        Kind::Int,
        "1",
        "The id of this broker, unique in its cluster. It is written to the data directory and \
         cannot change afterwards.",
    )
    .valid(Valid::AtLeast(0)),
    Definition::unset(
        "broker.rack",
        Kind::String,
        "The rack or zone of this broker. Replicas of a partition are spread over racks.",
    ),
    Definition::broker(
        "listeners",
        Kind::List,
        "PLAINTEXT://127.0.0.1:9092",
        "The addresses for clients. Port 0 takes any free port; an empty host or 0.0.0.0 binds \
         every interface and then needs `advertised.listeners`. An address that other machines \
         can reach needs `insecure`.",
    )
    .valid(Valid::Listeners),
    Definition::unset(
        "advertised.listeners",
        Kind::List,
        "The addresses that clients are told to connect to, one for each listener of the same \
         name. Without it they are told `listeners`. Port 0 stands for the port that was bound.",
    )
    .valid(Valid::Listeners),
    Definition::broker(
        "listener.security.protocol.map",
        Kind::String,
        "PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL",
        "The protocol of each listener name. Only PLAINTEXT can be used for now.",
    )
    .valid(Valid::ProtocolMap),
    Definition::broker(
        "http.listener",
        Kind::String,
        "127.0.0.1:9644",
        "The address of `/metrics` and `/health`; empty switches it off.",
    )
    .valid(Valid::AddressOrNothing),
    Definition::unset(
        "peer.listener",
        Kind::String,
        "The address for the other brokers of the cluster. It is opened when this or \
         `controller.quorum.voters` is set; with voters alone it is 127.0.0.1:9192.",
    )
    .valid(Valid::AddressOrNothing),
    Definition::broker(
        "insecure",
        Kind::Boolean,
        "false",
        "Allows listeners that other machines can reach although nothing is encrypted and nobody \
         has to log in.",
    ),
];

/// A host and a port. An empty host stands for every interface.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// A name or an address, IPv6 without brackets.
    pub host: String,
    /// The port; 0 asks for any free one.
    pub port: u16,
}

impl Endpoint {
    /// Reads `host:port` or `[v6]:port`; `None` when it is neither.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let host = match host.strip_prefix('[') {
            Some(inner) => {
                let inner = inner.strip_suffix(']')?;
                inner.parse::<std::net::Ipv6Addr>().ok()?;
                inner
            }
            None if host.contains([':', '/', ' ', '@']) => return None,
            None => host,
        };
        Some(Self { host: host.to_owned(), port: port.parse().ok()? })
    }

    /// Whether only this machine can reach it.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// Whether it stands for every interface.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.host.is_empty() || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified())
    }

    /// The address to bind, `host:port`.
    #[must_use]
    pub fn bind_address(&self) -> String {
        if self.host.is_empty() { format!("0.0.0.0:{}", self.port) } else { self.to_string() }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// One listener for clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedListener {
    /// Its name; `PLAINTEXT` when none was given.
    pub name: String,
    /// Where it is.
    pub endpoint: Endpoint,
}

impl NamedListener {
    /// Reads `NAME://host:port` or `host:port`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (name, address) = text.split_once("://").unwrap_or(("PLAINTEXT", text));
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if name.is_empty() || !name.chars().all(is_word) {
            return None;
        }
        Some(Self { name: name.to_ascii_uppercase(), endpoint: Endpoint::parse(address)? })
    }
}

/// The listeners of a broker, checked against each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerConfig {
    /// Where clients connect.
    pub listeners: Vec<NamedListener>,
    /// What clients are told, as configured; empty when they are told `listeners`.
    pub advertised: Vec<NamedListener>,
    /// The address of `/metrics` and `/health`.
    pub http: Option<Endpoint>,
    /// The address for other brokers.
    pub peer: Option<Endpoint>,
    /// Whether listeners may be reached by other machines without protection.
    pub insecure: bool,
    /// The rack of this broker.
    pub rack: Option<String>,
}

impl ListenerConfig {
    pub(super) fn resolve(settings: &Settings) -> Result<Self, ConfigError> {
        let named = |name| {
            settings.list(name).iter().filter_map(|item| NamedListener::parse(item)).collect()
        };
        let has_voters = !settings.list("controller.quorum.voters").is_empty();
        let peer = match settings.optional("peer.listener") {
            Some(address) => Endpoint::parse(address),
            None if has_voters => Endpoint::parse("127.0.0.1:9192"),
            None => None,
        };
        let config = Self {
            listeners: named("listeners"),
            advertised: named("advertised.listeners"),
            http: Endpoint::parse(settings.text("http.listener")),
            peer,
            insecure: settings.boolean("insecure"),
            rack: settings.optional("broker.rack").map(str::to_owned),
        };
        config.check(settings)?;
        Ok(config)
    }

    fn check(&self, settings: &Settings) -> Result<(), ConfigError> {
        let protocols = settings.text("listener.security.protocol.map");
        for (index, listener) in self.listeners.iter().enumerate() {
            let protocol = items(protocols)
                .filter_map(|item| item.split_once(':'))
                .find(|(name, _)| name.eq_ignore_ascii_case(&listener.name));
            match protocol {
                Some((_, "PLAINTEXT")) => {}
                Some((_, protocol)) => {
                    return Err(Problem::ProtocolNotServed {
                        listener: listener.name.clone(),
                        protocol: protocol.to_owned(),
                    }
                    .into());
                }
                None => {
                    let listener = listener.name.clone();
                    return Err(Problem::ProtocolUnknown { listener }.into());
                }
            }
            if self.listeners[..index].iter().any(|other| other.name == listener.name) {
                return Err(Problem::ListenerTwice { listener: listener.name.clone() }.into());
            }
            self.check_advertised(listener)?;
            self.check_reach("listeners", &listener.endpoint)?;
        }
        if let Some(stray) =
            self.advertised.iter().find(|a| !self.listeners.iter().any(|l| l.name == a.name))
        {
            return Err(Problem::AdvertisedUnknown { listener: stray.name.clone() }.into());
        }
        if let Some(http) = &self.http {
            self.check_reach("http.listener", http)?;
        }
        if let Some(peer) = &self.peer {
            self.check_reach("peer.listener", peer)?;
        }
        Ok(())
    }

    fn check_advertised(&self, listener: &NamedListener) -> Result<(), ConfigError> {
        let told = self.advertised_as_configured(&listener.name);
        match told {
            Some(told) if told.is_wildcard() => {
                Err(Problem::AdvertisedWildcard { address: told.to_string() }.into())
            }
            None if listener.endpoint.is_wildcard() => {
                Err(Problem::AdvertisedMissing { address: listener.endpoint.bind_address() }.into())
            }
            _ => Ok(()),
        }
    }

    fn check_reach(&self, name: &'static str, endpoint: &Endpoint) -> Result<(), ConfigError> {
        if self.insecure || endpoint.is_loopback() {
            return Ok(());
        }
        Err(Problem::Exposed { name, address: endpoint.bind_address() }.into())
    }

    fn advertised_as_configured(&self, name: &str) -> Option<&Endpoint> {
        self.advertised.iter().find(|a| a.name == name).map(|a| &a.endpoint)
    }

    /// What clients of the listener `name` are told, once it is bound to `bound_port`.
    #[must_use]
    pub fn advertised(&self, name: &str, bound_port: u16) -> Option<Endpoint> {
        let configured = self.advertised_as_configured(name).or_else(|| {
            self.listeners.iter().find(|listener| listener.name == name).map(|l| &l.endpoint)
        })?;
        let port = if configured.port == 0 { bound_port } else { configured.port };
        Some(Endpoint { host: configured.host.clone(), port })
    }
}
