//! Tidy: the rules of the house that no compiler checks.
//!
//! Who may depend on whom (`dependencies`), what a source file may name and how it looks
//! (`sources`), and that what the documents say is so (`documents`). Each test gathers every
//! offence before it fails, so that one run tells all there is to fix.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod dependencies;
mod documents;
mod sources;

use std::path::{Path, PathBuf};

/// The root of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A text file of the repository.
struct SourceFile {
    /// Its path from the root, with `/`.
    name: String,
    text: String,
}

impl SourceFile {
    fn is_rust(&self) -> bool {
        self.name.ends_with(".rs")
    }

    /// The lines with their numbers, from 1.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// The lines of Rust code: without comments, and without the test module at the bottom.
    fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines()
            .take_while(|(_, line)| *line != "#[cfg(test)]")
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

/// Every text file that we wrote: not what is built, installed or generated.
fn source_files() -> Vec<SourceFile> {
    const SKIPPED: &[&str] = &[
        ".git",
        ".interop",
        "target",
        "node_modules",
        "__pycache__",
        "flumen-data",
        // Bytes captured from other programs, as they are.
        "golden",
        // What fuzzing has found on this machine.
        "corpus",
        "artifacts",
    ];
    const TEXT: &[&str] = &["rs", "toml", "md", "py", "java", "xml", "json", "txt", "sh", ""];
    let mut files = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                if !SKIPPED.contains(&name) {
                    folders.push(path);
                }
                continue;
            }
            let extension = path.extension().map_or("", |found| found.to_str().unwrap());
            if TEXT.contains(&extension)
                && name != "LICENSE"
                && let Ok(text) = std::fs::read_to_string(&path)
            {
                let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
                files.push(SourceFile { name, text });
            }
        }
    }
    assert!(files.len() > 50, "found only {} files under {}", files.len(), root().display());
    files.sort_by(|left, right| left.name.cmp(&right.name));
    files
}

/// Fails with every offence that was found.
fn assert_none(rule: &str, offences: &[String]) {
    assert!(offences.is_empty(), "{rule}:\n  {}", offences.join("\n  "));
}
