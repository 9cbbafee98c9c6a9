//! Loading a whole hive, every rule of the format verified.
//!
//! What carries no information (hashes, references to parents, counts of references) is made anew when a hive is
//! written; where it was wrong that is a [`Repair`]. Everything else that is wrong is an error: nothing is left out.

use crate::file::{CellSet, Hive};
use crate::layout::{BASE_BLOCK, BIN_UNIT, DEEPEST, NIL, damaged, u32_at};
use crate::record::{self, Hint, KeyRecord, key_flags};
use crate::tree::{KeyId, SecurityId};
use crate::{Name, Result, Tree, Upcase};
use std::cmp::Ordering;
use std::collections::HashMap;

/// A broken rule that writing the hive again mends without loss.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    /// Which rule was broken.
    pub rule: &'static str,
    /// How often.
    pub count: usize,
    /// Where first, bytes from the start of the file.
    pub first_offset: u64,
}

impl<'h> Tree<'h> {
    /// Loads the hive. Names compare by `upcase`: the table of the volume that the hive lies on.
    pub fn load(hive: &'h Hive, upcase: &'h Upcase) -> Result<(Tree<'h>, Vec<Repair>)> {
        let mut loader = Loader {
            hive,
            tree: Tree {
                base: hive.base().clone(),
                upcase,
                keys: Vec::new(),
                securities: Vec::new(),
                security_ids: HashMap::new(),
            },
            taken: hive.no_cells(),
            securities: HashMap::new(),
            repairs: Vec::new(),
        };
        loader.load()?;
        Ok((loader.tree, loader.repairs))
    }
}

struct Loader<'h> {
    hive: &'h Hive,
    tree: Tree<'h>,
    /// Cells that belong to something already; each belongs to one thing only, so nothing can be its own descendant.
    taken: CellSet,
    securities: HashMap<u32, SecurityId>,
    repairs: Vec<Repair>,
}

/// A key that is still to be read.
struct Pending {
    offset: u32,
    parent: KeyId,
    parent_offset: u32,
    depth: usize,
    hint: Hint,
}

impl<'h> Loader<'h> {
    fn load(&mut self) -> Result<()> {
        if !self.hive.as_bytes().len().is_multiple_of(BIN_UNIT) {
            // what follows the last bin is ignored, by Windows too
            self.repair(
                "the length of the file is no multiple of 4096 bytes",
                self.hive.base().bins_len() as u32,
            );
        }
        let root = self.hive.base().root();
        let mut pending =
            vec![Pending { offset: root, parent: KeyId(0), parent_offset: NIL, depth: 0, hint: Hint::None }];
        // keys whose subkeys are not in order
        let mut unordered = Vec::new();
        while let Some(next) = pending.pop() {
            let record = KeyRecord::read(self.hive, next.offset)?;
            take(&mut self.taken, next.offset)?;
            if next.depth > DEEPEST {
                return Err(record.cell.damaged("a key lies deeper than 512 levels"));
            }
            if record.flags() & key_flags::VOLATILE != 0 {
                // valid in memory only: Windows drops such keys when it loads a hive
                self.repair("a volatile key was saved", next.offset);
                continue;
            }
            let id = self.key(&next, &record)?;
            if self.order(next.parent, id, next.offset)? {
                unordered.push((next.parent, next.parent_offset));
            }
            let taken = &mut self.taken;
            let subkeys = record::subkeys(self.hive, &record, |cell| take(taken, cell))?;
            let (parent_offset, depth) = (next.offset, next.depth + 1);
            let below = subkeys.into_iter().rev();
            pending.extend(below.map(|(offset, hint)| Pending {
                offset,
                parent: id,
                parent_offset,
                depth,
                hint,
            }));
        }
        if self.tree.keys.is_empty() {
            return Err(damaged(root, "the root key is volatile"));
        }
        unordered.dedup();
        for (parent, offset) in unordered {
            self.sort(parent, offset)?;
        }
        self.verify_securities()
    }

    fn key(&mut self, next: &Pending, record: &KeyRecord<'h>) -> Result<KeyId> {
        let name = record.name();
        let is_root = next.parent_offset == NIL;
        if !is_root && record.parent() != next.parent_offset {
            self.repair("a key names another parent than the key that lists it", next.offset);
        }
        let hint_is_right = match next.hint {
            Hint::None => true,
            Hint::Hash(hash) => hash == self.tree.upcase.hash(&name),
            Hint::Start(start) => start_hint(&name) == start || start == [0; 4],
        };
        if !hint_is_right {
            self.repair("a list of subkeys has a wrong hint beside a key", next.offset);
        }
        let properties = record.properties(self.hive)?;
        if let Some(cell) = record.class_cell() {
            take(&mut self.taken, cell)?;
        }
        let security = record.security_cell().map(|cell| self.security(cell)).transpose()?;
        let id = self.tree.push(next.parent, name, properties, security);
        let (hive, taken) = (self.hive, &mut self.taken);
        let offsets = record::values(hive, record, |cell| take(taken, cell))?;
        let mut values = Vec::with_capacity(record.value_count());
        for offset in offsets {
            values.push(record::value(hive, offset, |cell| take(taken, cell))?);
        }
        self.tree.node(id).values = values;
        Ok(id)
    }

    /// Adds a key to its parent's subkeys; whether it is out of order there.
    fn order(&mut self, parent: KeyId, id: KeyId, offset: u32) -> Result<bool> {
        if id == self.tree.root() {
            return Ok(false);
        }
        let previous = self.tree.key(parent).subkeys.last().copied();
        let order = previous.map_or(Ordering::Less, |previous| {
            self.tree.upcase.compare(&self.tree.key(previous).name, &self.tree.key(id).name)
        });
        self.tree.node(parent).subkeys.push(id);
        match order {
            Ordering::Less => Ok(false),
            Ordering::Equal => Err(damaged(offset, "two subkeys of a key have the same name")),
            Ordering::Greater => Ok(true),
        }
    }

    fn sort(&mut self, parent: KeyId, offset: u32) -> Result<()> {
        let mut subkeys = std::mem::take(&mut self.tree.node(parent).subkeys);
        let (tree, upcase) = (&self.tree, self.tree.upcase);
        subkeys.sort_by(|left, right| upcase.compare(&tree.key(*left).name, &tree.key(*right).name));
        let same = |pair: &[KeyId]| upcase.same(&tree.key(pair[0]).name, &tree.key(pair[1]).name);
        if subkeys.windows(2).any(same) {
            return Err(damaged(offset, "two subkeys of a key have the same name"));
        }
        self.tree.node(parent).subkeys = subkeys;
        self.repair("the subkeys of a key are not in order", offset);
        Ok(())
    }

    fn security(&mut self, offset: u32) -> Result<SecurityId> {
        if let Some(id) = self.securities.get(&offset) {
            return Ok(*id);
        }
        let descriptor = record::security(self.hive, offset)?;
        take(&mut self.taken, offset)?;
        let id = self.tree.security_id(descriptor);
        self.securities.insert(offset, id);
        Ok(id)
    }

    /// Compares the counts of references of security records with the keys that refer to them.
    fn verify_securities(&mut self) -> Result<()> {
        let mut wrong = Vec::new();
        let mut counts: HashMap<SecurityId, u32> = HashMap::new();
        for security in self.tree.keys.iter().filter_map(|key| key.security) {
            *counts.entry(security).or_default() += 1;
        }
        let mut stated: HashMap<SecurityId, (u32, u32)> = HashMap::new();
        for (offset, id) in &self.securities {
            let references = u32_at(self.hive.cell(*offset)?.bytes, 12);
            let sum = stated.entry(*id).or_insert((0, *offset));
            *sum = (sum.0.wrapping_add(references), sum.1.min(*offset));
        }
        for (id, (references, offset)) in stated {
            if counts.get(&id) != Some(&references) {
                wrong.push(offset);
            }
        }
        wrong.sort_unstable();
        for offset in wrong {
            self.repair("a security record counts its references wrongly", offset);
        }
        Ok(())
    }

    fn repair(&mut self, rule: &'static str, offset: u32) {
        let first_offset = BASE_BLOCK as u64 + u64::from(offset);
        match self.repairs.iter_mut().find(|repair| repair.rule == rule) {
            Some(repair) => repair.count += 1,
            None => self.repairs.push(Repair { rule, count: 1, first_offset }),
        }
    }
}

/// The hint of version 1.3: the first four characters of a name, for names of one byte per character.
pub(crate) fn start_hint(name: &Name<'_>) -> [u8; 4] {
    let mut hint = [0; 4];
    for (byte, unit) in hint.iter_mut().zip(name.units()) {
        match u8::try_from(unit) {
            Ok(narrow) => *byte = narrow,
            Err(_) => return [0; 4],
        }
    }
    hint
}

fn take(taken: &mut CellSet, offset: u32) -> Result<()> {
    if taken.insert(offset) {
        return Ok(());
    }
    Err(damaged(offset, "a cell belongs to two things"))
}
