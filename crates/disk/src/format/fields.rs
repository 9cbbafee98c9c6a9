//! Integers at fixed places in structures that were read as a whole.
//!
//! The callers pass buffers of constant length and constant offsets, so that nothing from a file reaches an index here.

use std::array;

fn bytes<const N: usize>(buf: &[u8], at: usize) -> [u8; N] {
    array::from_fn(|i| buf[at + i])
}

pub(super) fn be_u32(buf: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes(buf, at))
}

pub(super) fn be_u64(buf: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(bytes(buf, at))
}

pub(super) fn le_u16(buf: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes(buf, at))
}

pub(super) fn le_u32(buf: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes(buf, at))
}

pub(super) fn le_u64(buf: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes(buf, at))
}

pub(super) fn guid(buf: &[u8], at: usize) -> [u8; 16] {
    bytes(buf, at)
}

/// Overwrites a part of a structure that is being built.
pub(super) fn put<const N: usize>(buf: &mut [u8], at: usize, value: [u8; N]) {
    buf[at..at + N].copy_from_slice(&value);
}
