//! Memory that a device can be handed directly.

use super::target::DIRECT_ALIGN;
use std::ops::{Deref, DerefMut};

/// Zeros at first, beginning at a multiple of [`DIRECT_ALIGN`] in memory.
pub(super) struct AlignedBuffer {
    /// Never made longer, so that its bytes stay where they are.
    memory: Vec<u8>,
    start: usize,
    len: usize,
}

impl AlignedBuffer {
    pub(super) fn new(len: usize) -> AlignedBuffer {
        let memory = vec![0; len + DIRECT_ALIGN];
        let start = memory.as_ptr().align_offset(DIRECT_ALIGN);
        AlignedBuffer { memory, start, len }
    }
}

impl Deref for AlignedBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory[self.start..][..self.len]
    }
}

impl DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..][..self.len]
    }
}
