//! Hives to measure with, and the work on them that is measured as whole processes (`cargo xtask bench`).
//!
//! ```text
//! hive_work synthesize BYTES OUT             a hive like SOFTWARE of about this length
//! hive_work class-ids COUNT OUT.hive OUT.reg COM classes, as a hive of their own and as a .reg file
//! hive_work change IN COUNT SEED OUT         sets values: half of them new ones in new keys
//! hive_work rewrite IN OUT                   reads, loads and writes anew
//! hive_work merge IN LAYER OUT               puts everything in LAYER into IN
//! ```

use hive::{Data, Delta, Hive, KeyId, Name, NoLists, Properties, Tree, Upcase, string, value_kind};
use std::borrow::Cow;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["synthesize", bytes, out] => synthesize(bytes.parse()?, out),
        ["class-ids", count, hive, reg] => class_ids(count.parse()?, hive, reg),
        ["change", hive, count, seed, out] => change(hive, count.parse()?, seed.parse()?, out),
        ["rewrite", hive, out] => rewrite(hive, out),
        ["merge", hive, layer, out] => merge(hive, layer, out),
        _ => Err("see the first lines of this program".into()),
    }
}

/// A sequence that looks random and is the same everywhere (splitmix64).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn guid(&mut self) -> String {
        let (a, b) = (self.next(), self.next());
        format!(
            "{{{:08X}-{:04X}-{:04X}-{:04X}-{:012X}}}",
            a as u32,
            (a >> 32) as u16,
            (a >> 48) as u16,
            b as u16,
            b >> 16
        )
    }

    /// Text of 20 to 100 characters, as paths and descriptions have.
    fn text(&mut self) -> String {
        let length = 20 + self.next() % 80;
        (0..length).map(|_| char::from(b'a' + (self.next() % 26) as u8)).collect()
    }

    /// Most values are text, some are numbers, few are bytes.
    fn data(&mut self) -> Data<'static> {
        match self.next() % 10 {
            0..=5 => string(value_kind::SZ, &self.text()),
            6..=8 => Data::new(value_kind::DWORD, (self.next() as u32).to_le_bytes().to_vec()),
            _ => {
                let length = self.next() % 400;
                Data::new(value_kind::BINARY, (0..length).map(|_| self.next() as u8).collect::<Vec<u8>>())
            }
        }
    }
}

/// A security descriptor of the length that most have; its content is of no interest here.
fn security(number: u8) -> Vec<u8> {
    let mut descriptor = vec![0; 160];
    descriptor[..2].copy_from_slice(&[1, number]);
    descriptor
}

fn subkey(tree: &mut Tree<'_>, parent: KeyId, name: &str, number: u8) -> KeyId {
    let security = tree.security_id(security(number % 32));
    let class = Cow::Borrowed(&[][..]);
    let properties =
        Properties { last_written: 133_485_408_000_000_000, flags: 0, user_flags: 0, access: 0, class };
    tree.make_subkey(parent, Name::from(name).into_owned(), properties, Some(security)).0
}

fn path(tree: &mut Tree<'_>, names: &[&str]) -> KeyId {
    names.iter().fold(tree.root(), |parent, name| subkey(tree, parent, name, 0))
}

/// Whatever is in its logs does not matter here: the peer does not read them either.
fn read(file: &str) -> Result<Hive, Box<dyn Error>> {
    Ok(Hive::open_dirty(fs::read(file)?, &[])?)
}

fn empty(upcase: &Upcase) -> Tree<'_> {
    Tree::new(upcase, 5, Name::from("ROOT"), security(0))
}

fn synthesize(bytes: u64, out: &str) -> Result<(), Box<dyn Error>> {
    let upcase = Upcase::unicode();
    let (mut tree, mut noise) = (empty(&upcase), Noise(1));
    let mut so_far = 0;
    for vendor in 0.. {
        let vendor = path(&mut tree, &["Vendors", &format!("Vendor {vendor:05}")]);
        for product in 0..500 {
            let product = subkey(&mut tree, vendor, &format!("Product {product:03}"), noise.next() as u8);
            so_far += 96 + 16;
            for value in 0..3 {
                let data = noise.data();
                so_far += 36 + data.bytes.len() as u64 + 12;
                tree.set_value(product, Name::from(format!("Value {value}").as_str()).into_owned(), data);
            }
            if so_far >= bytes {
                return Ok(fs::write(out, tree.write()?)?);
            }
        }
    }
    Ok(())
}

fn class_ids(count: usize, hive: &str, reg: &str) -> Result<(), Box<dyn Error>> {
    let upcase = Upcase::unicode();
    let (mut tree, mut noise) = (empty(&upcase), Noise(2));
    let classes = path(&mut tree, &["Classes", "CLSID"]);
    let mut text = "Windows Registry Editor Version 5.00\n\n[\\Classes]\n\n[\\Classes\\CLSID]\n\n".to_owned();
    for number in 0..count {
        let guid = noise.guid();
        let name = format!("Vendor Component Class {number}");
        let library = format!("C:\\Program Files\\Vendor\\Suite\\component{}.dll", number % 200);
        let class = subkey(&mut tree, classes, &guid, 1);
        tree.set_value(class, Name::from(""), string(value_kind::SZ, &name));
        let server = subkey(&mut tree, class, "InprocServer32", 1);
        tree.set_value(server, Name::from(""), string(value_kind::SZ, &library));
        tree.set_value(server, Name::from("ThreadingModel"), string(value_kind::SZ, "Both"));
        let library = library.replace('\\', "\\\\");
        write!(
            text,
            "[\\Classes\\CLSID\\{guid}]\n@=\"{name}\"\n\n[\\Classes\\CLSID\\{guid}\\InprocServer32]\n\
             @=\"{library}\"\n\"ThreadingModel\"=\"Both\"\n\n"
        )?;
    }
    fs::write(hive, tree.write()?)?;
    Ok(fs::write(reg, text)?)
}

fn change(hive: &str, count: usize, seed: u64, out: &str) -> Result<(), Box<dyn Error>> {
    let upcase = Upcase::unicode();
    let hive = read(hive)?;
    let (mut tree, _) = Tree::load(&hive, &upcase)?;
    let mut noise = Noise(seed);
    let keys: Vec<KeyId> = tree.walk().map(|(key, _)| key).collect();
    for number in 0..count / 2 {
        let key = keys[(noise.next() % keys.len() as u64) as usize];
        tree.set_value(key, Name::from("Value 1"), noise.data());
        let own =
            path(&mut tree, &["Vendors", &format!("Layer {seed}"), &format!("Product {:03}", number / 5)]);
        let name = format!("Value {number}");
        tree.set_value(own, Name::from(name.as_str()).into_owned(), noise.data());
    }
    Ok(fs::write(out, tree.write()?)?)
}

fn rewrite(hive: &str, out: &str) -> Result<(), Box<dyn Error>> {
    let upcase = Upcase::unicode();
    let hive = read(hive)?;
    let (tree, _) = Tree::load(&hive, &upcase)?;
    Ok(fs::write(out, tree.write()?)?)
}

fn merge(hive: &str, layer: &str, out: &str) -> Result<(), Box<dyn Error>> {
    let upcase = Upcase::unicode();
    let (hive, layer) = (read(hive)?, read(layer)?);
    let (layer, _) = Tree::load(&layer, &upcase)?;
    let delta = Delta::between(&empty(&upcase), &layer);
    let (mut tree, _) = Tree::load(&hive, &upcase)?;
    tree.apply(&delta, &NoLists);
    Ok(fs::write(out, tree.write()?)?)
}
