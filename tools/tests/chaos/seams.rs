//! The one clock of a run: times of different clocks could not be compared.

use std::sync::LazyLock;

use flumen_client::connection::Seams;

/// The real seams, the same for everybody.
pub(crate) fn seams() -> &'static Seams {
    static REAL: LazyLock<Seams> = LazyLock::new(Seams::real);
    &REAL
}
