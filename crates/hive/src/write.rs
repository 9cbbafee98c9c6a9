//! Writing a tree as a compact hive: the same tree gives the same bytes.
//!
//! Cells follow each other in the order of a walk over the keys: a key's subkeys, its values with their data, its
//! class name and its lists. Nothing is left of what was deleted.

use crate::layout::{
    BASE_BLOCK, BIN_HEADER, BIN_UNIT, INLINE, KEY_HEADER, LONGEST, LONGEST_KEY_NAME, LONGEST_VALUE_NAME, NIL,
    SECURITY_HEADER, SEGMENT, VALUE_HEADER, put_u16, put_u32,
};
use crate::load::start_hint;
use crate::record::{NARROW_VALUE, key_flags};
use crate::tree::{KeyId, allowed_depth};
use crate::{Error, Name, Result, Tree, Value};

/// Most entries of one list of subkeys: it fits, like Windows' own, into a bin of the smallest size.
const LEAF: usize = 507;

impl Tree<'_> {
    /// The bytes of a hive with these keys. Its sequence number follows that of the hive that was loaded; all else in
    /// the base block stays.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for what the format cannot hold: 2 GiB of bins, names of keys with 255 and of values with 16,383
    /// characters, 512 levels.
    pub fn write(&self) -> Result<Vec<u8>> {
        let mut writer =
            Writer { file: Vec::with_capacity(self.base.bins_len() + BASE_BLOCK), at: 0, bin_end: 0 };
        writer.file.extend_from_slice(self.base.as_bytes());
        let root = writer.allocate_key(&self.key(self.root()).name)?;
        let securities = self.write_securities(&mut writer)?;
        let mut open = vec![(self.root(), root, NIL, 0)];
        while let Some((key, offset, parent, depth)) = open.pop() {
            allowed_depth(depth)?;
            let subkeys = self.write_key(&mut writer, key, offset, parent, &securities)?;
            open.extend(subkeys.into_iter().rev().map(|(subkey, at)| (subkey, at, offset, depth + 1)));
        }
        writer.close_bin();
        let mut file = writer.file;
        let mut base = self.base.clone();
        let sequence = base.primary().max(base.secondary()).wrapping_add(1);
        base.complete(sequence, root, (file.len() - BASE_BLOCK) as u32);
        file[..BASE_BLOCK].copy_from_slice(base.as_bytes());
        // the first bin keeps a copy of the time
        file[BASE_BLOCK + 20..BASE_BLOCK + 28].copy_from_slice(&base.last_written().to_le_bytes());
        Ok(file)
    }

    /// Writes the descriptors that keys refer to; gives the offset of each.
    fn write_securities(&self, writer: &mut Writer) -> Result<Vec<u32>> {
        let mut references = vec![0u32; self.securities.len()];
        let mut order = Vec::new();
        for security in self.walk().filter_map(|(key, _)| self.key(key).security) {
            let count = &mut references[security.0 as usize];
            if *count == 0 {
                order.push(security.0 as usize);
            }
            *count += 1;
        }
        let mut offsets = vec![NIL; self.securities.len()];
        for id in &order {
            offsets[*id] =
                writer.allocate(SECURITY_HEADER + self.securities[*id].len(), "a security descriptor")?;
        }
        for (position, id) in order.iter().enumerate() {
            let descriptor = &self.securities[*id];
            let next = offsets[order[(position + 1) % order.len()]];
            let previous = offsets[order[(position + order.len() - 1) % order.len()]];
            let cell = writer.cell(offsets[*id]);
            cell[..2].copy_from_slice(b"sk");
            let numbers = [(4, next), (8, previous), (12, references[*id]), (16, descriptor.len() as u32)];
            for (at, number) in numbers {
                put_u32(cell, at, number);
            }
            cell[SECURITY_HEADER..SECURITY_HEADER + descriptor.len()].copy_from_slice(descriptor);
        }
        Ok(offsets)
    }

    /// Writes a key into its cell and everything of it but its subkeys, for which it allocates cells and gives them.
    fn write_key(
        &self,
        writer: &mut Writer,
        key: KeyId,
        offset: u32,
        parent: u32,
        securities: &[u32],
    ) -> Result<Vec<(KeyId, u32)>> {
        let node = self.key(key);
        let mut subkeys = Vec::with_capacity(node.subkeys.len());
        for subkey in &node.subkeys {
            subkeys.push((*subkey, writer.allocate_key(&self.key(*subkey).name)?));
        }
        let value_list = self.write_values(writer, &node.values)?;
        let class = &node.properties.class;
        let class_cell = if class.is_empty() { NIL } else { writer.bytes(class, "a class name")? };
        let class_len = u16::try_from(class.len())
            .map_err(|_| too_large("a class name", "class names have up to 65,535 bytes"))?;
        let list = self.write_list(writer, &subkeys)?;
        let names = node.subkeys.iter().map(|subkey| &self.key(*subkey).name);
        let longest_name = names.map(|name| name.unit_count() * 2).max().unwrap_or(0);
        let classes = node.subkeys.iter().map(|subkey| self.key(*subkey).properties.class.len());
        let longest_value_name =
            node.values.iter().map(|value| value.name.unit_count() * 2).max().unwrap_or(0);
        let longest_data = node.values.iter().map(|value| value.data.bytes.len()).max().unwrap_or(0);

        let narrow = if node.name.is_narrow() { key_flags::NARROW } else { 0 };
        let cell = writer.cell(offset);
        cell[..2].copy_from_slice(b"nk");
        put_u16(cell, 2, node.properties.flags | narrow);
        cell[4..12].copy_from_slice(&node.properties.last_written.to_le_bytes());
        let numbers = [
            (12, node.properties.access),
            (16, parent),
            (20, node.subkeys.len() as u32),
            (24, 0),
            (28, list),
            (32, NIL),
            (36, node.values.len() as u32),
            (40, value_list),
            (44, node.security.map_or(NIL, |security| securities[security.0 as usize])),
            (48, class_cell),
            (52, longest_name.min(0xffff) as u32 | u32::from(node.properties.user_flags) << 16),
            (56, classes.max().unwrap_or(0) as u32),
            (60, longest_value_name as u32),
            (64, longest_data as u32),
            (68, 0),
        ];
        for (at, number) in numbers {
            put_u32(cell, at, number);
        }
        put_u16(cell, 72, node.name.raw().len() as u16);
        put_u16(cell, 74, class_len);
        cell[KEY_HEADER..KEY_HEADER + node.name.raw().len()].copy_from_slice(node.name.raw());
        Ok(subkeys)
    }

    fn write_values(&self, writer: &mut Writer, values: &[Value<'_>]) -> Result<u32> {
        if values.is_empty() {
            return Ok(NIL);
        }
        let list = writer.allocate(values.len() * 4, "a list of values")?;
        for (position, value) in values.iter().enumerate() {
            let offset = self.write_value(writer, value)?;
            put_u32(writer.cell(list), position * 4, offset);
        }
        Ok(list)
    }

    fn write_value(&self, writer: &mut Writer, value: &Value<'_>) -> Result<u32> {
        let name = value.name.raw();
        let fits = u16::try_from(name.len()).ok().filter(|_| value.name.is_valid(LONGEST_VALUE_NAME));
        let name_len = fits.ok_or_else(|| {
            too_large("the name of a value", "names of values have up to 16,383 characters")
        })?;
        let offset = writer.allocate(VALUE_HEADER + name.len(), "a value")?;
        let bytes = &value.data.bytes;
        let mut inline = [0; 4];
        let (len, data) = if let Some(place) = inline.get_mut(..bytes.len()) {
            place.copy_from_slice(bytes);
            (bytes.len() as u32 | INLINE, u32::from_le_bytes(inline))
        } else if bytes.len() > SEGMENT && self.base.minor() >= 4 {
            (bytes.len() as u32, self.write_segments(writer, bytes)?)
        } else {
            (bytes.len() as u32, writer.bytes(bytes, "the data of a value")?)
        };
        let narrow = if value.name.is_narrow() { NARROW_VALUE } else { 0 };
        let cell = writer.cell(offset);
        cell[..2].copy_from_slice(b"vk");
        put_u16(cell, 2, name_len);
        for (at, number) in [(4, len), (8, data), (12, value.data.kind)] {
            put_u32(cell, at, number);
        }
        put_u16(cell, 16, value.data.flags | narrow);
        cell[VALUE_HEADER..VALUE_HEADER + name.len()].copy_from_slice(name);
        Ok(offset)
    }

    fn write_segments(&self, writer: &mut Writer, bytes: &[u8]) -> Result<u32> {
        let count = u16::try_from(bytes.len().div_ceil(SEGMENT)).map_err(|_| {
            too_large("the data of a value", "a value has up to 65,535 pieces of 16,344 bytes")
        })?;
        let record = writer.allocate(8, "the data of a value")?;
        let list = writer.allocate(usize::from(count) * 4, "the data of a value")?;
        for (position, segment) in bytes.chunks(SEGMENT).enumerate() {
            // Windows leaves four bytes behind each piece, and hivex takes them for granted
            let offset = writer.allocate(segment.len() + 4, "the data of a value")?;
            writer.cell(offset)[..segment.len()].copy_from_slice(segment);
            put_u32(writer.cell(list), position * 4, offset);
        }
        let cell = writer.cell(record);
        cell[..2].copy_from_slice(b"db");
        put_u16(cell, 2, count);
        put_u32(cell, 4, list);
        Ok(record)
    }

    /// Writes the list of subkeys, in several leaves if need be.
    fn write_list(&self, writer: &mut Writer, subkeys: &[(KeyId, u32)]) -> Result<u32> {
        let mut leaves = Vec::with_capacity(subkeys.len().div_ceil(LEAF));
        for part in subkeys.chunks(LEAF) {
            let leaf = writer.allocate(4 + part.len() * 8, "a list of subkeys")?;
            let hashed = self.base.minor() >= 5;
            let cell = writer.cell(leaf);
            cell[..2].copy_from_slice(if hashed { b"lh" } else { b"lf" });
            put_u16(cell, 2, part.len() as u16);
            for (position, (subkey, offset)) in part.iter().enumerate() {
                let name = &self.key(*subkey).name;
                let hint = if hashed { self.upcase.hash(name).to_le_bytes() } else { start_hint(name) };
                put_u32(cell, 4 + position * 8, *offset);
                cell[8 + position * 8..12 + position * 8].copy_from_slice(&hint);
            }
            leaves.push(leaf);
        }
        match leaves[..] {
            [] => Ok(NIL),
            [only] => Ok(only),
            _ => {
                let count = u16::try_from(leaves.len()).map_err(|_| {
                    too_large("the subkeys of a key", "a key has up to 65,535 lists of 507 subkeys")
                })?;
                let root = writer.allocate(4 + leaves.len() * 4, "a list of subkeys")?;
                let cell = writer.cell(root);
                cell[..2].copy_from_slice(b"ri");
                put_u16(cell, 2, count);
                for (position, leaf) in leaves.iter().enumerate() {
                    put_u32(cell, 4 + position * 4, *leaf);
                }
                Ok(root)
            }
        }
    }
}

fn too_large(what: &str, limit: &'static str) -> Error {
    Error::TooLarge { what: what.to_owned(), limit }
}

/// Cells one after another, in bins.
struct Writer {
    file: Vec<u8>,
    /// Where the next cell begins, byte of the file.
    at: usize,
    /// Where the bin ends.
    bin_end: usize,
}

impl Writer {
    /// A cell for `len` bytes, zeros.
    fn allocate(&mut self, len: usize, what: &str) -> Result<u32> {
        let size = (len + 4).next_multiple_of(8);
        if size > self.bin_end - self.at {
            self.open_bin(size, what)?;
        }
        let offset = (self.at - BASE_BLOCK) as u32;
        put_u32(&mut self.file, self.at, (size as u32).wrapping_neg());
        self.at += size;
        Ok(offset)
    }

    fn allocate_key(&mut self, name: &Name<'_>) -> Result<u32> {
        if !name.is_valid(LONGEST_KEY_NAME) {
            return Err(too_large("the name of a key", "names of keys have up to 255 characters"));
        }
        self.allocate(KEY_HEADER + name.raw().len(), "a key")
    }

    /// A cell with these bytes.
    fn bytes(&mut self, bytes: &[u8], what: &str) -> Result<u32> {
        let offset = self.allocate(bytes.len(), what)?;
        self.cell(offset)[..bytes.len()].copy_from_slice(bytes);
        Ok(offset)
    }

    /// The content of a cell that was allocated.
    fn cell(&mut self, offset: u32) -> &mut [u8] {
        let at = BASE_BLOCK + offset as usize;
        let size = crate::layout::u32_at(&self.file, at).wrapping_neg() as usize;
        &mut self.file[at + 4..at + size]
    }

    fn open_bin(&mut self, cell_size: usize, what: &str) -> Result<()> {
        self.close_bin();
        let start = self.file.len();
        let len = (cell_size + BIN_HEADER).next_multiple_of(BIN_UNIT);
        if start - BASE_BLOCK + len > LONGEST {
            return Err(too_large(what, "a hive has up to 2 GiB"));
        }
        self.file.resize(start + len, 0);
        self.file[start..start + 4].copy_from_slice(b"hbin");
        put_u32(&mut self.file, start + 4, (start - BASE_BLOCK) as u32);
        put_u32(&mut self.file, start + 8, len as u32);
        self.at = start + BIN_HEADER;
        self.bin_end = start + len;
        Ok(())
    }

    /// Makes what is left of the bin a free cell.
    fn close_bin(&mut self) {
        if self.at < self.bin_end {
            put_u32(&mut self.file, self.at, (self.bin_end - self.at) as u32);
            self.at = self.bin_end;
        }
    }
}
