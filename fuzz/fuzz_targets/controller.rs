//! Hands inputs to `flumen_fuzz::controller`, which says what must hold.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flumen_fuzz::controller::run(data));
