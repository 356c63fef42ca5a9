//! What can be wrong with a configuration.

use std::path::PathBuf;

use super::definition::InvalidValue;

/// Every problem found, in the order of the settings.
#[derive(Debug, thiserror::Error)]
#[error("{}", .problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct ConfigError {
    /// At least one.
    pub problems: Vec<Problem>,
}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem] }
    }
}

/// One thing that stops the start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("the configuration file {} is not valid TOML: {source}", .path.display())]
    NotToml {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<toml::de::Error>,
    },
    /// A value of a kind that no setting has.
    #[error("the setting {name} in {} must be a text, a number, true, false or a list", .path.display())]
    WrongKind {
        /// The file.
        path: PathBuf,
        /// The setting.
        name: String,
    },
    /// A value that its setting does not allow.
    #[error(transparent)]
    Value(#[from] InvalidValue),
    /// A setting that does not exist.
    #[error("unknown setting {name} in {origin}{}", .nearest.map(|n| format!("; did you mean {n}?")).unwrap_or_default())]
    Unknown {
        /// The name as given.
        name: String,
        /// Where it stands.
        origin: Origin,
        /// The setting with the most similar name.
        nearest: Option<&'static str>,
    },
    /// `--set` without an equals sign.
    #[error("--set {text}: must be name=value")]
    NotAPair {
        /// What was given.
        text: String,
    },
    /// The lower bound lies above the upper.
    #[error("{low} = {low_value} must not be above {high} = {high_value}")]
    Order {
        /// The setting that is too large.
        low: &'static str,
        /// Its value.
        low_value: i64,
        /// The setting it must not pass.
        high: &'static str,
        /// Its value.
        high_value: i64,
    },
    /// A listener that other machines can reach, without leave.
    #[error(
        "{name} = {address} can be reached from other machines, and Flumen has no TLS yet: bind to \
         127.0.0.1, or set insecure = true"
    )]
    Exposed {
        /// The setting.
        name: &'static str,
        /// The address.
        address: String,
    },
    /// Every interface is bound, and nobody said what to tell clients.
    #[error(
        "listeners = {address} binds every interface: set advertised.listeners to the address \
         that clients can reach"
    )]
    AdvertisedMissing {
        /// The address bound.
        address: String,
    },
    /// Clients cannot connect to an address that stands for every interface.
    #[error("advertised.listeners = {address}: must be an address that clients can connect to")]
    AdvertisedWildcard {
        /// The address given.
        address: String,
    },
    /// An advertised listener that does not exist.
    #[error("advertised.listeners names {listener}, which listeners does not have")]
    AdvertisedUnknown {
        /// The name.
        listener: String,
    },
    /// Two listeners of one name.
    #[error("listeners names {listener} twice")]
    ListenerTwice {
        /// The name.
        listener: String,
    },
    /// A listener name without a protocol.
    #[error("listeners: {listener} has no protocol in listener.security.protocol.map")]
    ProtocolUnknown {
        /// The name.
        listener: String,
    },
    /// A protocol that is not there yet.
    #[error("listeners: {listener} uses {protocol}; only PLAINTEXT is served for now")]
    ProtocolNotServed {
        /// The name.
        listener: String,
        /// Its protocol.
        protocol: String,
    },
}

/// Where a setting was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The configuration file.
    File(PathBuf),
    /// An environment variable.
    Environment,
    /// `--set`, another flag, or the program that embeds the broker.
    Argument,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment => f.write_str("the environment"),
            Self::Argument => f.write_str("the arguments"),
        }
    }
}
