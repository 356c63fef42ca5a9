//! What a source file may name, and how it looks.

use super::{SourceFile, assert_none, source_files};

/// Where tokio may be named: what runs, and the handles that callers wait on. Everything else is
/// pure, or speaks to a runtime through the seams.
const TOKIO: &[&str] = &[
    "/runtime.rs",
    "/runtime/",
    "/net/",
    "/http/",
    "broker/src/server.rs",
    "broker/src/supervision.rs",
    "broker/src/clock.rs",
    "broker/src/api/forward.rs",
    "broker/src/peer/",
    "broker/src/controller/handle.rs",
    "broker/src/partition/fetcher.rs",
    "broker/src/partition/in_sync.rs",
    "broker/src/controller/quorum/",
    "client/src/connection",
    "client/src/client.rs",
    "client/src/metadata.rs",
    "producer/src/producer.rs",
    "producer/src/sender.rs",
    "consumer/src/consumer.rs",
    "consumer/src/shared.rs",
    "consumer/src/fetcher.rs",
    "consumer/src/group.rs",
    "tools/",
    "sim/",
    "benches/",
    "fuzz/src/",
    "/tests.rs",
    "/tests/",
    "/examples/",
];

/// Files that are longer than [`LINES_MAX`], and why that is right.
const LONG: &[(&str, &str)] = &[];

const LINES_MAX: usize = 800;
/// Comments may be a little wider than the code that rustfmt lays out.
const WIDTH_MAX: usize = 120;

/// Tables with a row per line, however long.
const WIDE: &[&str] = &[
    "protocol/src/error_code.rs",
    "protocol/src/messages/mod.rs",
    "protocol/tests/wire/",
    "/tests.rs",
];

#[test]
fn tokio_stays_in_the_runtime_modules() {
    let mut offences = Vec::new();
    for file in rust_files() {
        if TOKIO.iter().any(|place| file.name.contains(place)) {
            continue;
        }
        offences.extend(naming(&file, "tokio::"));
    }
    assert_none("tokio outside the modules that may name it", &offences);
}

#[test]
fn storage_knows_no_error_codes() {
    let storage = rust_files().into_iter().filter(|file| file.name.starts_with("storage/src"));
    let offences: Vec<_> = storage.flat_map(|file| naming(&file, "ErrorCode")).collect();
    assert_none("error codes are the broker's, in broker/src/api/error.rs", &offences);
}

#[test]
fn the_broker_uses_of_the_client_only_its_connection() {
    let mut offences = Vec::new();
    for file in rust_files().into_iter().filter(|file| file.name.starts_with("broker/src")) {
        for (number, line) in file.code_lines() {
            for (at, _) in line.match_indices("flumen_client::") {
                if !line[at + "flumen_client::".len()..].starts_with("connection") {
                    offences.push(format!("{}:{number}: {}", file.name, line.trim()));
                }
            }
        }
    }
    assert_none("the broker reaches into the client", &offences);
}

#[test]
fn openraft_stays_behind_its_facade() {
    let mut offences = Vec::new();
    for file in rust_files() {
        let ours = file.name.contains("/src/");
        if ours && !file.name.starts_with("broker/src/controller/quorum") {
            offences.extend(naming(&file, "openraft::"));
        }
    }
    assert_none("only broker/src/controller/quorum may name openraft", &offences);
}

#[test]
fn every_file_says_what_it_is() {
    let mut offences = Vec::new();
    for file in source_files() {
        let header = match file.name.rsplit_once('.').map(|(_, extension)| extension) {
            // The tests of a module are described by the module.
            Some("rs") => file.text.starts_with("//!") || file.name.ends_with("/tests.rs"),
            Some("py") => file.text.is_empty() || file.text.starts_with("\"\"\""),
            Some("js") => file.text.starts_with("// "),
            _ => true,
        };
        if !header {
            offences.push(file.name);
        }
    }
    assert_none("no module header on the first line", &offences);
}

#[test]
fn no_file_is_the_place_for_everything() {
    let mut offences = Vec::new();
    for file in source_files().iter().filter(|file| is_code(file)) {
        let lines = file.text.lines().count();
        let listed = LONG.iter().any(|(name, _)| *name == file.name);
        if lines > LINES_MAX && !listed {
            offences.push(format!("{}: {lines} lines; which noun is missing?", file.name));
        }
        if lines <= LINES_MAX && listed {
            offences.push(format!("{} is listed as long, but is not", file.name));
        }
    }
    assert_none("long files", &offences);
}

#[test]
fn text_is_clean() {
    // Put together here, so that this file does not hold what it looks for.
    let unfinished = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:")];
    let mut offences = Vec::new();
    for file in source_files() {
        let mut offend = |number: usize, what: &str| {
            offences.push(format!("{}:{number}: {what}", file.name));
        };
        for (number, line) in file.lines() {
            if line.ends_with([' ', '\t']) {
                offend(number, "trailing whitespace");
            }
            if line.contains('\t') && !line.contains("\\t") {
                offend(number, "a tab");
            }
            if line.contains('\r') {
                offend(number, "a carriage return");
            }
            // A long text in quotes cannot be broken.
            let wide = line.chars().count() > WIDTH_MAX && !line.contains('"');
            if wide && is_code(&file) && !WIDE.iter().any(|place| file.name.contains(place)) {
                offend(number, "wider than 120 columns");
            }
            if unfinished.iter().any(|word| line.contains(word)) {
                offend(number, "unfinished work is an issue, not a comment");
            }
        }
        if !file.text.is_empty() && (!file.text.ends_with('\n') || file.text.ends_with("\n\n")) {
            offend(file.text.lines().count(), "the last line ends in one line feed");
        }
    }
    assert_none("untidy text", &offences);
}

#[test]
fn no_address_of_a_package_registry_is_written_down() {
    let hosts = [
        concat!("crates", ".io"),
        concat!("pypi", ".org"),
        concat!("python", "hosted.org"),
        concat!("npm", "js.org"),
        concat!("npm", "js.com"),
        concat!("repo1.", "maven"),
        concat!("repo.", "maven"),
        concat!("proxy.", "golang"),
        concat!("deb.", "debian"),
    ];
    let mut offences = Vec::new();
    for file in source_files() {
        for (number, line) in file.lines() {
            for host in hosts.iter().filter(|host| line.contains(**host)) {
                offences.push(format!("{}:{number}: {host}", file.name));
            }
        }
    }
    assert_none("whoever builds this brings the registry", &offences);
}

fn rust_files() -> Vec<SourceFile> {
    source_files().into_iter().filter(SourceFile::is_rust).collect()
}

fn is_code(file: &SourceFile) -> bool {
    [".rs", ".py", ".java", ".js"].iter().any(|extension| file.name.ends_with(extension))
}

/// The code lines of a file that hold `word`.
fn naming(file: &SourceFile, word: &str) -> Vec<String> {
    file.code_lines()
        .filter(|(_, line)| line.contains(word))
        .map(|(number, line)| format!("{}:{number}: {}", file.name, line.trim()))
        .collect()
}
