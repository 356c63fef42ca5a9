//! The producer that services link.
