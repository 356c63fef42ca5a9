//! Prints results: tables for people, JSON for programs, tab-separated lines in between.
//!
//! A table is drawn only on a terminal. Where stdout goes elsewhere and nothing was asked for, the
//! same columns come as tab-separated lines, so that `cut` and `awk` can read them. JSON is stable:
//! fields are added, not renamed. Everything that is not a result goes to stderr.

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use comfy_table::{Table, TableStyle};
use serde::Serialize;

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// Columns for people.
    Table,
    /// One JSON document.
    Json,
}

/// Where results go, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    style: Style,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Table,
    Tabs,
    Json,
}

/// A cell of a table.
pub(crate) type Row = Vec<String>;

impl Output {
    /// Chooses by what was asked for and where stdout goes.
    pub(crate) fn new(asked: Option<OutputFormat>) -> Self {
        let style = match asked {
            Some(OutputFormat::Table) => Style::Table,
            Some(OutputFormat::Json) => Style::Json,
            None if io::stdout().is_terminal() => Style::Table,
            None => Style::Tabs,
        };
        Self { style }
    }

    /// Whether JSON was asked for.
    pub(crate) fn is_json(self) -> bool {
        self.style == Style::Json
    }

    /// Prints a list of things: their rows under `columns`, or themselves as JSON.
    pub(crate) fn list<T: Serialize>(
        self,
        columns: &[&str],
        things: &[T],
        row: impl Fn(&T) -> Row,
    ) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.style == Style::Json {
            return write_json(&mut out, &things);
        }
        let rows: Vec<Row> = things.iter().map(row).collect();
        write_rows(&mut out, self.style, columns, rows)
    }

    /// Prints one thing: its name-value lines, or itself as JSON.
    pub(crate) fn thing<T: Serialize>(self, thing: &T, lines: &[(&str, String)]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.style == Style::Json {
            return write_json(&mut out, thing);
        }
        let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in lines {
            match self.style {
                Style::Table => writeln!(out, "{name:width$}  {value}")?,
                Style::Tabs | Style::Json => writeln!(out, "{name}\t{value}")?,
            }
        }
        Ok(())
    }

    /// Prints documents: each by `print`, with an empty line between them, or all of them as JSON.
    pub(crate) fn documents<T: Serialize>(
        self,
        documents: &[T],
        mut print: impl FnMut(&T) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        if self.style == Style::Json {
            return Ok(write_json(&mut io::stdout().lock(), &documents)?);
        }
        for (index, document) in documents.iter().enumerate() {
            if index > 0 {
                println!();
            }
            print(document)?;
        }
        Ok(())
    }

    /// Prints a document that has several parts for people, and is one value as JSON.
    pub(crate) fn document<T: Serialize>(
        self,
        document: &T,
        parts: &[(&[&str], Vec<Row>)],
    ) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.style == Style::Json {
            return write_json(&mut out, document);
        }
        for (index, (columns, rows)) in parts.iter().enumerate() {
            if index > 0 {
                writeln!(out)?;
            }
            write_rows(&mut out, self.style, columns, rows.clone())?;
        }
        Ok(())
    }

    /// Says on stderr that something was done; `--output json` keeps quiet.
    pub(crate) fn done(self, what: &str) {
        if !self.is_json() {
            eprintln!("{what}");
        }
    }
}

fn write_json<T: Serialize + ?Sized>(out: &mut impl Write, thing: &T) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, thing)?;
    writeln!(out)
}

fn write_rows(
    out: &mut impl Write,
    style: Style,
    columns: &[&str],
    rows: Vec<Row>,
) -> io::Result<()> {
    if style == Style::Tabs {
        writeln!(out, "{}", columns.join("\t"))?;
        return rows.iter().try_for_each(|row| writeln!(out, "{}", row.join("\t")));
    }
    let mut table = Table::new();
    table.load_style(TableStyle::new()).set_header(columns.to_vec());
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().try_for_each(|line| writeln!(out, "{}", line.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(style: Style) -> String {
        let rows = vec![vec!["a".to_owned(), "1".to_owned()], vec!["long".into(), "22".into()]];
        let mut out = Vec::new();
        write_rows(&mut out, style, &["NAME", "COUNT"], rows).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn tables_align_and_tabs_do_not() {
        assert_eq!(printed(Style::Table), "NAME  COUNT\na     1\nlong  22\n");
        assert_eq!(printed(Style::Tabs), "NAME\tCOUNT\na\t1\nlong\t22\n");
    }
}
