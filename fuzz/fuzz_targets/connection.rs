//! Hands inputs to `flumen_fuzz::connection`, which says what must hold.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flumen_fuzz::connection::run(data));
