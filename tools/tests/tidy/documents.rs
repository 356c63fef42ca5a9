//! What the documents say is so: commands, tables, links.

use super::{assert_none, root, source_files};

#[test]
fn the_readme_has_the_two_commands() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    for command in ["cargo run --release -- broker", "cargo test --workspace"] {
        assert!(
            code_blocks(&readme).iter().any(|block| block.lines().any(|line| line == command)),
            "README.md has no block with `{command}`"
        );
    }
}

#[test]
fn the_table_of_apis_is_the_code_s() {
    const BEGIN: &str = "<!-- apis:begin -->\n";
    const END: &str = "<!-- apis:end -->";
    let page = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let begin = page.find(BEGIN).expect("the mark of the table's begin") + BEGIN.len();
    let end = page.find(END).expect("the mark of the table's end");
    let table = flumen_broker::api::documentation();
    assert_eq!(page[begin..end].trim(), table.trim(), "the code's table is:\n{table}");
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut offences = Vec::new();
    for file in source_files().iter().filter(|file| file.name.ends_with(".md")) {
        let folder = root().join(&file.name).parent().unwrap().to_owned();
        for (number, line) in file.lines() {
            for target in link_targets(line) {
                let path = target.split('#').next().unwrap();
                if !path.is_empty() && !target.contains("://") && !folder.join(path).exists() {
                    offences.push(format!("{}:{number}: {target}", file.name));
                }
            }
        }
    }
    assert_none("links that lead nowhere", &offences);
}

/// The targets of the Markdown links in a line.
fn link_targets(line: &str) -> Vec<&str> {
    line.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect()
}

/// The contents of the fenced code blocks of a Markdown text.
fn code_blocks(text: &str) -> Vec<&str> {
    text.split("```").skip(1).step_by(2).collect()
}
