//! Small changes to bytes that are valid otherwise, as an input asks for them.

use crate::input::Input;

/// Changes `bytes` up to `count_max` times.
pub fn edit(bytes: &mut Vec<u8>, input: &mut Input<'_>, count_max: usize) {
    for _ in 0..input.below(count_max + 1) {
        edit_once(bytes, input);
    }
}

fn edit_once(bytes: &mut Vec<u8>, input: &mut Input<'_>) {
    let at = input.below(bytes.len() + 1);
    match input.below(8) {
        0 => flip(bytes, at, 1 << input.below(8)),
        1 => overwrite(bytes, at, input.block()),
        2 => overwrite(bytes, at, &input.edgy_i64().to_be_bytes()),
        3 => overwrite(bytes, at, &input.edgy_i32().to_be_bytes()),
        4 => bytes.truncate(at),
        5 => {
            let end = (at + input.below(64)).min(bytes.len());
            bytes.drain(at..end);
        }
        6 => {
            bytes.splice(at..at, input.block().iter().copied());
        }
        _ => {
            let end = (at + input.below(512)).min(bytes.len());
            let to = input.below(bytes.len() + 1);
            let copy = bytes[at..end].to_vec();
            bytes.splice(to..to, copy);
        }
    }
}

fn flip(bytes: &mut [u8], at: usize, mask: u8) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= mask;
    }
}

fn overwrite(bytes: &mut [u8], at: usize, with: &[u8]) {
    let size = with.len().min(bytes.len() - at);
    bytes[at..at + size].copy_from_slice(&with[..size]);
}
