//! The server: how soon it is there, what it takes, and how it answers when there is much.

use super::Bench;
use crate::command::{command, output};
use crate::report;
use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Bytes of a MiB.
const MIB: u64 = 1 << 20;

impl Bench {
    /// Starts, lists and polls, as `crates/server/examples/server_load.rs` does it.
    pub(super) fn server(&mut self) -> Result<()> {
        report::note("the server: starting, listing, polling");
        let said = output(command(&self.server_program).arg(self.lamina.program()))?;
        let figures: Value = serde_json::from_str(said.trim()).context("figures of the server")?;
        let figure = |name: &str| -> Result<f64> {
            figures[name].as_f64().with_context(|| format!("the server's figures lack {name}"))
        };
        if figure("polls_failed")? > 0.0 {
            bail!("{} polls were not answered", figure("polls_failed")?);
        }
        let results = &mut self.results;
        results.goal_below(
            "server: from start to ready on an empty directory",
            figure("ready_ms")?,
            1000.0,
            "ms",
        );
        for (title, name) in [
            ("server: 10,000 layers by page, 95th percentile", "layers_p95_ms"),
            ("server: the same by kind and name", "layers_by_name_p95_ms"),
            ("server: 100,000 rows of audit history by page, 95th percentile", "audit_p95_ms"),
            ("server: 200 clients that poll a task, 95th percentile", "polls_p95_ms"),
        ] {
            results.goal_below(title, figure(name)?, 20.0, "ms");
        }
        let mib = |name: &str| Ok::<_, anyhow::Error>(figure(name)? / MIB as f64);
        results.goal_below("server: resident memory, idle", mib("idle_bytes")?, 80.0, "MiB");
        let fact =
            format!("{} polls answered, {:.0} MiB resident after", figure("polls")?, mib("loaded_bytes")?);
        results.facts.insert("server, load".into(), fact);
        Ok(())
    }
}
