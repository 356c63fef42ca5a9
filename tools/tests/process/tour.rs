//! The tour of README.md, typed as it stands there, against a broker on another port.

use std::path::Path;
use std::process::{Command, Output};

use crate::broker_process::{BrokerProcess, FLUMEN};

#[test]
fn the_tour_of_the_readme_does_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let broker = BrokerProcess::start(&folder.path().join("data"));
    let blocks = blocks();
    let mut outputs = Vec::new();
    for block in &blocks {
        let output = typed(block, folder.path(), &broker.bootstrap());
        assert!(output.status.success(), "{block}\n{output:?}");
        outputs.push(String::from_utf8(output.stdout).unwrap());
    }
    let printed = |command: &str| {
        let index = blocks.iter().position(|block| block.contains(command));
        &outputs[index.unwrap_or_else(|| panic!("README.md has no `{command}`"))]
    };

    assert!(printed("flumen topic describe").contains("partitions\t3"));
    let consumed = printed("flumen consume greetings -o start");
    for greeting in ["en=hello", "fr=bonjour", "la=salve"] {
        assert_eq!(consumed.matches(greeting).count(), 1, "{consumed}");
    }
    let described = printed("flumen group describe");
    assert!(described.contains("lag\t0"), "{described}");
    assert_eq!(broker.stop(), Some(0));
}

/// The shell blocks of the tour that need nothing but flumen.
fn blocks() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let (_, tour) = readme.split_once("## A tour").unwrap();
    let (tour, _) = tour.split_once("\n## ").unwrap();
    let blocks = tour.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let ours = |block: &&str| !block.contains("kcat") && !block.contains("export PATH");
    let blocks: Vec<String> = blocks.filter(ours).map(str::to_owned).collect();
    assert!(blocks.len() >= 3, "{blocks:?}");
    blocks
}

fn typed(block: &str, folder: &Path, bootstrap: &str) -> Output {
    let binaries = Path::new(FLUMEN).parent().unwrap();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut paths = vec![binaries.to_owned()];
    paths.extend(std::env::split_paths(&path));
    Command::new("sh")
        .args(["-e", "-c", block])
        .current_dir(folder)
        .env("PATH", std::env::join_paths(paths).unwrap())
        .env("FLUMEN_BOOTSTRAP", bootstrap)
        .output()
        .unwrap()
}
