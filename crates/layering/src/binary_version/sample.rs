//! A program for tests, of this crate and of its rules.

/// The smallest PE file that carries a version resource (Microsoft PE and COFF specification, ".rsrc").
pub(crate) fn binary(version: [u16; 4]) -> Vec<u8> {
    let mut file = vec![0u8; 0x400];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(0x3c, &0x80u32.to_le_bytes());
    put(0x80, b"PE\0\0");
    put(0x86, &1u16.to_le_bytes());
    put(0x94, &0xf0u16.to_le_bytes());
    put(0x98, &0x20bu16.to_le_bytes());
    put(0x98 + 112 + 16, &0x1000u32.to_le_bytes());
    let section = 0x98 + 0xf0;
    put(section + 8, &0x200u32.to_le_bytes());
    put(section + 12, &0x1000u32.to_le_bytes());
    put(section + 16, &0x200u32.to_le_bytes());
    put(section + 20, &0x200u32.to_le_bytes());
    for (at, id, offset) in [(0x200, 16u32, 0x8000_0018u32), (0x218, 1, 0x8000_0030), (0x230, 0x409, 0x48)] {
        put(at + 14, &1u16.to_le_bytes());
        put(at + 16, &id.to_le_bytes());
        put(at + 20, &offset.to_le_bytes());
    }
    put(0x248, &0x1060u32.to_le_bytes());
    put(0x24c, &0x60u32.to_le_bytes());
    put(0x268, &0xfeef_04bdu32.to_le_bytes());
    let [a, b, c, d] = version.map(u32::from);
    put(0x270, &(a << 16 | b).to_le_bytes());
    put(0x274, &(c << 16 | d).to_le_bytes());
    file
}
