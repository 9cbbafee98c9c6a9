//! Registry hives: merged beside hivex, written anew, and changed by many layers at once.

use super::{Bench, measure, words};
use crate::command::{command, output};
use crate::{disk, report};
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Rounds beside hivex, which takes a minute each.
const PEER_ROUNDS: usize = 3;

/// COM classes that are merged: two keys each, and the two above them.
const CLASSES: &str = "10000";
/// The length of the hive that is written anew, in bytes.
const SOFTWARE_BYTES: u64 = 150_000_000;
/// Layers that change the same hive, and the values that each changes.
const LAYERS: u64 = 10;
const VALUES: &str = "5000";

/// The largest SYSTEM hive of an installed Windows in the test data: Windows 10.
const REAL_SYSTEM: &str = "hives/regipy/SYSTEM_WIN_10_1709.xz";

const SOFTWARE: &str = "Windows/System32/config/SOFTWARE";

impl Bench {
    /// Single hives: a merge beside hivexregedit, and a rewrite.
    pub(super) fn hives(&mut self) -> Result<()> {
        let (classes, reg) = (self.work.join("classes.hive"), self.work.join("classes.reg"));
        self.hive_work(&["class-ids", CLASSES], &[&classes, &reg])?;
        match real_system(&self.work) {
            Ok(system) => self.merges(&system, &classes, &reg)?,
            Err(reason) => self.results.left_out.push(format!("merging into a real hive: {reason:#}")),
        }
        let (software, out) = (self.work.join("software.hive"), self.work.join("rewritten.hive"));
        self.hive_work(&["synthesize", &SOFTWARE_BYTES.to_string()], &[&software])?;
        let bytes = software.metadata()?.len();
        for round in 1..=self.rounds {
            report::note(&format!("write a hive anew: round {round} of {}", self.rounds));
            let mut program = command(&self.hive_program);
            program.arg("rewrite").arg(&software).arg(&out);
            let title = format!("a hive of {} read, loaded and written anew", report::bytes(bytes));
            self.results.add("hive rewrite", &title, measure::run_warm(&mut program, || Ok(()))?);
        }
        std::fs::remove_file(&out)?;
        self.results.goal_rate("a large hive written anew", "hive rewrite", bytes, 300e6);
        self.results.goal_memory("memory for that: six times the hive", "hive rewrite", 6 * bytes);
        Ok(())
    }

    fn merges(&mut self, system: &Path, classes: &Path, reg: &Path) -> Result<()> {
        let (out, peer) = (self.work.join("merged.hive"), self.work.join("peer.hive"));
        for round in 1..=self.rounds.min(PEER_ROUNDS) {
            report::note(&format!("merge into a hive, beside hivexregedit: round {round}"));
            let mut program = command(&self.hive_program);
            program.arg("merge").arg(system).arg(classes).arg(&out);
            let title = format!("{CLASSES} COM classes merged into a SYSTEM hive of Windows 10");
            self.results.add("hive merge", &title, measure::run_warm(&mut program, || Ok(()))?);
            let run = measure::run_warm(command("hivexregedit").arg("--merge").arg(&peer).arg(reg), || {
                std::fs::copy(system, &peer)?;
                Ok(())
            })?;
            self.results.add("hivexregedit", "hivexregedit --merge of the same", run);
        }
        let (before, after) = (system.metadata()?.len(), out.metadata()?.len());
        let facts = format!(
            "{} before, {} merged, {} by hivexregedit",
            report::bytes(before),
            report::bytes(after),
            report::bytes(peer.metadata()?.len())
        );
        self.results.facts.insert("hive, SYSTEM".into(), facts);
        let title = format!("merge of {CLASSES} COM classes against hivexregedit --merge");
        self.results.goal_faster(&title, "hive merge", "hivexregedit", 100.0);
        self.results.goal_size("the merged hive", after, before, 1.6);
        std::fs::remove_file(&out)?;
        std::fs::remove_file(&peer)?;
        Ok(())
    }

    /// Many layers over an operating system whose SOFTWARE is as long as a well-used one's.
    pub(super) fn registry_layers(&mut self) -> Result<()> {
        let software = self.work.join("software.hive");
        let tree = self.work.join("registry-os");
        let hive = tree.join(SOFTWARE);
        std::fs::create_dir_all(hive.parent().context("it lies in a folder")?)?;
        std::fs::rename(&software, &hive)?;
        let disk = self.work.join("os.raw");
        disk::make(&disk, super::DISK_BYTES, &tree, &self.work)?;
        self.lamina.call("import", words(&["--name", "Registry", "--version", "1", "--disk"], &[&disk]))?;
        std::fs::remove_file(&disk)?;
        let changed = self.work.join("changed.hive");
        for layer in 1..=LAYERS {
            let mut program = command(&self.hive_program);
            program.arg("change").arg(&hive).args([VALUES, &layer.to_string()]).arg(&changed);
            output(&mut program)?;
            let step = format!("change {VALUES} values on packaging disk {layer}");
            let (disk, volume) = self.changed_disk("os:Registry@1", &step, |folder, _| {
                std::fs::copy(&changed, folder.join(SOFTWARE))?;
                Ok(String::new())
            })?;
            std::fs::remove_file(volume)?;
            let name = format!("Layer {layer}");
            self.lamina.call("capture", super::capture_words("os:Registry@1", &disk, &name, "1"))?;
            std::fs::remove_file(disk)?;
        }
        for round in 1..=self.rounds {
            report::note(&format!("compose {LAYERS} layers that change the registry: round {round}"));
            let mut arguments: Vec<OsString> = words(&["--os", "os:Registry@1", "--image", "Measured"], &[]);
            for layer in 1..=LAYERS {
                arguments.extend(words(&["--layer", &format!("app:Layer {layer}@1")], &[]));
            }
            let run = measure::run(&mut self.lamina.plumbing("compose", arguments))?;
            self.lamina.call("remove", ["image:Measured"])?;
            let title = format!(
                "lamina compose, {LAYERS} layers that each change {VALUES} values of a SOFTWARE hive of {}",
                report::bytes(hive.metadata()?.len())
            );
            self.results.add("registry layers", &title, run);
        }
        std::fs::remove_dir_all(&tree)?;
        Ok(())
    }

    fn hive_work(&self, arguments: &[&str], paths: &[&Path]) -> Result<()> {
        output(command(&self.hive_program).args(words(arguments, paths))).map(drop)
    }
}

/// The hive, taken out of the test data.
fn real_system(work: &Path) -> Result<PathBuf> {
    let data =
        std::env::var_os("LAMINA_TESTDATA").context("LAMINA_TESTDATA names no folder with real hives")?;
    let (packed, hive) = (PathBuf::from(data).join(REAL_SYSTEM), work.join("system.hive"));
    let out = std::fs::File::create(&hive)?;
    let run = command("xz").args(["--decompress", "--stdout"]).arg(&packed).stdout(out).status()?;
    anyhow::ensure!(run.success(), "xz cannot unpack {}", packed.display());
    Ok(hive)
}
