//! The checksum of log entries.

/// The seed that Windows uses for registry logs.
const SEED: u64 = 0x82ef_4d88_7a4e_55c5;

/// Marvin32 of `bytes` with the registry's seed; the .NET runtime publishes the algorithm.
pub(crate) fn marvin32(bytes: &[u8]) -> u64 {
    let (mut low, mut high) = (SEED as u32, (SEED >> 32) as u32);
    let mut mix = |word: u32| {
        low = low.wrapping_add(word);
        high ^= low;
        low = low.rotate_left(20).wrapping_add(high);
        high = high.rotate_left(9) ^ low;
        low = low.rotate_left(27).wrapping_add(high);
        high = high.rotate_left(19);
    };
    let mut words = bytes.chunks_exact(4);
    for word in &mut words {
        mix(u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
    }
    let mut last = [0; 4];
    let rest = words.remainder();
    last[..rest.len()].copy_from_slice(rest);
    last[rest.len()] = 0x80;
    mix(u32::from_le_bytes(last));
    mix(0);
    u64::from(low) | u64::from(high) << 32
}
