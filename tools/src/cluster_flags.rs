//! The flags that every command has: which cluster, how to print, how much to log.

use std::path::PathBuf;

use clap::Args;
use flumen_client::{Client, ClientBuilder, Properties};

use crate::output::{Output, OutputFormat};

const CONNECT_TIMEOUT: &str = "socket.connection.setup.timeout.ms";

/// Flags in common.
#[derive(Debug, Args)]
pub(crate) struct CommonFlags {
    /// A broker of the cluster, or several separated by commas
    #[arg(
        short = 'b',
        long,
        env = "FLUMEN_BOOTSTRAP",
        default_value = "127.0.0.1:9092",
        value_name = "HOST:PORT",
        global = true
    )]
    bootstrap_server: String,
    /// How to print results [default: a table on a terminal, tab-separated lines elsewhere]
    #[arg(long, value_enum, value_name = "FORMAT", global = true)]
    output: Option<OutputFormat>,
    /// A file of Kafka client properties
    #[arg(long, value_name = "FILE", global = true)]
    command_config: Option<PathBuf>,
    /// What to log to stderr: error, warn, info, debug, trace, or per module
    #[arg(long, env = "FLUMEN_LOG", value_name = "LEVEL", global = true)]
    pub(crate) log: Option<String>,
}

impl CommonFlags {
    /// How results are printed.
    pub(crate) fn output(&self) -> Output {
        Output::new(self.output)
    }

    /// The client properties: those of the file, and the flags over them.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn properties(&self) -> anyhow::Result<Properties> {
        let mut properties = match &self.command_config {
            Some(path) => Properties::load(path)?,
            None => Properties::default(),
        };
        properties.set("bootstrap.servers", self.bootstrap_server.clone());
        // A person waits less long for a broker that is not there than a service does.
        let defaults = [("client.id", "flumen-cli"), (CONNECT_TIMEOUT, "3000")];
        for (name, value) in defaults {
            if properties.value(name).is_none() {
                properties.set(name, value);
            }
        }
        Ok(properties)
    }

    /// Connects to the cluster.
    ///
    /// # Errors
    /// A property is wrong, or no broker answers.
    pub(crate) async fn connect(&self) -> anyhow::Result<Client> {
        let builder = ClientBuilder::from_properties(&self.properties()?)?;
        Ok(builder.connect().await?)
    }
}
