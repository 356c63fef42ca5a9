//! How the program ends: exit codes, and the line that says why.
//!
//! 0 ok · 1 failure · 2 usage · 3 not found · 4 denied. The command line parser exits with 2 by
//! itself; everything else is decided here, from the error that a command returned.

use std::process::ExitCode;

use flumen_client::Error as ClientError;
use flumen_producer::Error as ProducerError;
use flumen_protocol::ErrorCode;

const FAILURE: u8 = 1;
const USAGE: u8 = 2;
const NOT_FOUND: u8 = 3;
const DENIED: u8 = 4;

/// What was asked for makes no sense, whatever the cluster's state.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

/// What was asked for does not exist.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NotFound(pub(crate) String);

/// Reports an error on stderr and chooses the exit code.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    if is_broken_pipe(error) {
        // Whoever read our output has seen enough.
        return ExitCode::SUCCESS;
    }
    eprintln!("flumen: {error:#}");
    if let Some(remedy) = remedy(error) {
        eprintln!("{remedy}");
    }
    ExitCode::from(code(error))
}

fn code(error: &anyhow::Error) -> u8 {
    if error.is::<Usage>() || error.is::<flumen_broker::config::ConfigError>() {
        return USAGE;
    }
    if error.is::<NotFound>() {
        return NOT_FOUND;
    }
    if let Some(ProducerError::Refused { code, .. }) = error.downcast_ref() {
        return code_of(*code);
    }
    match client_error(error) {
        Some(ClientError::UnknownTopic { .. } | ClientError::UnknownPartition { .. }) => NOT_FOUND,
        Some(ClientError::Config(_)) => USAGE,
        Some(error) => error.kafka_code().map_or(FAILURE, code_of),
        None if error.is::<flumen_client::ConfigError>() => USAGE,
        None => FAILURE,
    }
}

/// The client's error under a command's, whichever client it was.
fn client_error(error: &anyhow::Error) -> Option<&ClientError> {
    match error.downcast_ref::<ProducerError>() {
        Some(ProducerError::Client(error)) => Some(error),
        _ => error.downcast_ref::<ClientError>(),
    }
}

fn code_of(error: ErrorCode) -> u8 {
    match error {
        ErrorCode::UnknownTopicOrPartition
        | ErrorCode::UnknownTopicId
        | ErrorCode::GroupIdNotFound
        | ErrorCode::ResourceNotFound => NOT_FOUND,
        ErrorCode::TopicAuthorizationFailed
        | ErrorCode::GroupAuthorizationFailed
        | ErrorCode::ClusterAuthorizationFailed
        | ErrorCode::TransactionalIdAuthorizationFailed
        | ErrorCode::SaslAuthenticationFailed => DENIED,
        ErrorCode::InvalidConfig
        | ErrorCode::InvalidTopicException
        | ErrorCode::InvalidPartitions
        | ErrorCode::InvalidReplicationFactor => USAGE,
        _ => FAILURE,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let mut io_errors = error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>());
    io_errors.any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
}

/// What to do about an error that beginners meet.
fn remedy(error: &anyhow::Error) -> Option<&'static str> {
    const NO_BROKER: &str =
        "Is a broker running there? `flumen broker` starts one; `-b HOST:PORT` names another.";
    match client_error(error)? {
        ClientError::Unreachable { .. } | ClientError::Connection(_) => Some(NO_BROKER),
        ClientError::TimedOut { last, .. } => match **last {
            ClientError::Unreachable { .. } | ClientError::Connection(_) => Some(NO_BROKER),
            _ => None,
        },
        ClientError::UnknownTopic { .. } => Some("`flumen topic list` shows what there is."),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use flumen_protocol::ApiKey;

    use super::*;

    fn broker_error(code: ErrorCode) -> anyhow::Error {
        ClientError::Broker { api: ApiKey::DeleteTopics, code, message: None }.into()
    }

    #[test]
    fn exit_codes_follow_the_cause() {
        let wrapped = broker_error(ErrorCode::GroupIdNotFound).context("deleting the group");
        let cases = [
            (anyhow::anyhow!("whatever"), FAILURE),
            (Usage("no".to_owned()).into(), USAGE),
            (NotFound("gone".to_owned()).into(), NOT_FOUND),
            (ClientError::UnknownTopic { topic: "t".to_owned() }.into(), NOT_FOUND),
            (wrapped, NOT_FOUND),
            (broker_error(ErrorCode::TopicAuthorizationFailed), DENIED),
            (broker_error(ErrorCode::TopicAlreadyExists), FAILURE),
        ];
        for (error, expected) in cases {
            assert_eq!(code(&error), expected, "{error:#}");
        }
    }
}
