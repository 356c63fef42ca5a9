//! The `Message` derive macro of flumen-protocol.
