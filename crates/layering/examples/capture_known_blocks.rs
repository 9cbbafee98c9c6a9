//! Captures an app layer version from a disk of which the changed ranges are known, as a connector does that gets them
//! from a snapshot difference or an overlay. `cargo xtask bench` measures it as a whole process.
//!
//! ```text
//! capture_known_blocks STORE OS NAME VERSION DISK RANGES
//! ```
//!
//! RANGES is a text file with one range of the disk per line: offset and length in bytes.

#![allow(clippy::print_stdout, reason = "a program of its own")]

use disk::BlockSet;
use layering::reference::LayerKind;
use layering::report::{CompositeSpec, VersionSpec};
use layering::request::CaptureRequest;
use layering::{Changes, Engine};
use operation::{Failure, Silent};
use std::error::Error;
use std::path::Path;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc; // the one of `lamina`, beside which this is measured

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [store, os, name, version, disk, ranges] = &arguments[..] else {
        return Err("usage: capture_known_blocks STORE OS NAME VERSION DISK RANGES".into());
    };
    let changed = read_ranges(Path::new(ranges))?;
    let request = CaptureRequest {
        composite: CompositeSpec { os: os.clone(), layers: Vec::new(), base: None, platform: None },
        disk: disk.into(),
        version: VersionSpec {
            kind: LayerKind::App,
            name: name.clone(),
            version: version.clone(),
            max_size: None,
            platform: None,
        },
        changed: None,
        trust_metadata: false,
        allow_backing: false,
        override_reason: None,
    };
    let engine = Engine::open(Path::new(store)).map_err(explain)?;
    let report = engine.capture_changes(&request, Changes::Known(changed), &Silent).map_err(explain)?;
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

fn read_ranges(path: &Path) -> Result<BlockSet, Box<dyn Error>> {
    let mut changed = BlockSet::new();
    for (number, line) in std::fs::read_to_string(path)?.lines().enumerate() {
        let mut fields = line.split_whitespace().map(str::parse::<u64>);
        let (Some(Ok(offset)), Some(Ok(len)), None) = (fields.next(), fields.next(), fields.next()) else {
            return Err(format!("{}:{}: no offset and length", path.display(), number + 1).into());
        };
        let end = offset.checked_add(len).ok_or("a range ends beyond all disks")?;
        changed.insert(offset..end);
    }
    Ok(changed)
}

fn explain(error: layering::Error) -> String {
    let Failure { code, message, .. } = Failure::new(&error);
    format!("{code}: {message}")
}
