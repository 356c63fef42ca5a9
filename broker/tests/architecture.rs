//! ARCHITECTURE.md lists the APIs as the table in the code does.

use std::path::Path;

const BEGIN: &str = "<!-- apis:begin -->\n";
const END: &str = "<!-- apis:end -->";

#[test]
fn the_page_lists_the_apis_that_are_served() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ARCHITECTURE.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (listed, after) = rest.split_once(END).unwrap();
    let served = flumen_broker::api::documentation();
    if listed != served {
        std::fs::write(&path, format!("{before}{BEGIN}{served}{END}{after}")).unwrap();
        panic!("the APIs in ARCHITECTURE.md were out of date and have been rewritten: commit it");
    }
}
