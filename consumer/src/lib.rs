//! The consumer that services link.
