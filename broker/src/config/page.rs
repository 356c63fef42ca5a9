//! Renders the table of settings as the documentation page `docs/settings.md`.

use std::fmt::Write as _;

use super::definition::{Change, Definition};
use super::table::AREAS;

const INTRODUCTION: &str = "\
# Settings

A broker takes its settings from a TOML file (`flumen broker --config FILE`), from environment
variables, and from `--set name=value`; the later wins over the earlier. Names are those of Apache
Kafka where it has one.

```toml
# broker.toml: quote the names, or write their dots as tables
\"log.retention.hours\" = 72
listeners = \"127.0.0.1:9092\"
```

The environment variable of `log.retention.hours` is `FLUMEN_LOG_RETENTION_HOURS`. A wrong value
stops the start. An unknown name stops it in `--set` and is a warning in a file or a variable;
`flumen broker --check-config` reports both as errors.

*At once*: AlterConfigs (`kafka-configs`, `flumen topic alter`) changes it while the broker runs.
*Restart*: the next start takes it. *No effect yet*: it is checked, kept and described, so that tools
which send it work, and Flumen does not act on it for now.

This page is written from the table in `broker/src/config/`; a test compares them.
";

/// The text of `docs/settings.md`.
#[must_use]
pub fn settings_page() -> String {
    let mut page = INTRODUCTION.to_owned();
    for (title, area) in AREAS {
        write_area(&mut page, title, area).expect("a String takes any text");
    }
    page
}

fn write_area(page: &mut String, title: &str, area: &[Definition]) -> std::fmt::Result {
    writeln!(page, "\n## {title}\n")?;
    writeln!(page, "| Setting | Type | Default | Allowed | Change | What it does |")?;
    writeln!(page, "|---|---|---|---|---|---|")?;
    for definition in area {
        let default = match (definition.broker_default, definition.default) {
            (Some(broker), _) => format!("`{broker}` of the broker"),
            (None, None) => "unset".to_owned(),
            (None, Some("")) => "empty".to_owned(),
            (None, Some(value)) => format!("`{value}`"),
        };
        let change = match (definition.acted_on, definition.change) {
            (false, _) => "no effect yet",
            (true, Change::AtOnce) => "at once",
            (true, Change::Restart) => "restart",
        };
        writeln!(
            page,
            "| `{}` | {} | {default} | {} | {change} | {} |",
            definition.name,
            definition.kind.name(),
            definition.valid.words(),
            definition.text,
        )?;
    }
    Ok(())
}
