//! A registry, or what a layer version changes in it, as a file: what regedit imports, or JSON with everything.

mod json;

use self::json::JsonFile;
use super::body::{Body, Volume, body};
use super::hives::{HiveFilter, HiveName, key_path, of_layer, unicode};
use super::registry::damaged;
use super::rows::no_key;
use crate::catalog::{Catalog, Entry};
use crate::manifest::Manifest;
use crate::output::NewFile;
use crate::registry::HiveKind;
use crate::report::{RegistryExportReport, Warning};
use crate::request::{RegistryExportRequest, RegistryFormat};
use crate::{Error, Result};
use hive::{Delta, KeyId, KeyRole, Name, RegFile, Tree};
use operation::{Progress, Unit};
use std::io;
use store::Session;

/// Writes the part of an entry's registry that is asked for.
pub(crate) fn export(
    session: &Session,
    catalog: &Catalog<'_>,
    entry: &Entry,
    request: &RegistryExportRequest,
    progress: &dyn Progress,
) -> Result<RegistryExportReport> {
    let filter = HiveFilter::parse(request.scope.hive.as_deref())?;
    let key = request.scope.key.as_deref().map(key_path).unwrap_or_default();
    let body = body(session, catalog, entry, progress)?;
    let mut file = NewFile::create(&request.out)?;
    let fail = NewFile::failed(&request.out);
    let form = match request.format {
        RegistryFormat::Reg => Form::Reg(RegFile::begin(file.writer()).map_err(&fail)?),
        RegistryFormat::Json => Form::Json(JsonFile::begin(file.writer(), &entry.summary()).map_err(&fail)?),
    };
    let mut export = Export {
        form,
        fail: &fail,
        request,
        key,
        reference: entry.reference(),
        hives: Vec::new(),
        relabelled: 0,
    };
    match &body {
        Body::Manifest(manifest) => export.layer(manifest, &filter)?,
        Body::Volume(volume) => export.volume(volume, &filter, progress)?,
    }
    let (hives, relabelled) = (export.hives, export.relabelled);
    let (keys, values, warnings) = match export.form {
        Form::Reg(reg) => {
            let counts = reg.counts();
            (counts.keys, counts.values, warnings(counts, relabelled))
        }
        Form::Json(json) => {
            let (keys, values) = json.finish().map_err(&fail)?;
            (keys, values, Vec::new())
        }
    };
    let written = file.complete()?;
    Ok(RegistryExportReport {
        of: entry.summary(),
        file: request.out.display().to_string(),
        format: request.format.name().to_owned(),
        hives,
        keys,
        values,
        written,
        warnings,
    })
}

/// What of the registry a `.reg` file has no place for.
fn warnings(counts: hive::RegFileCounts, relabelled: u64) -> Vec<Warning> {
    let all = [
        (
            counts.left_out,
            "reg-names-left-out",
            "keys and values whose names have control characters were left out",
        ),
        (counts.classes, "reg-classes-left-out", "keys have a class name, which was left out"),
        (relabelled, "reg-security-left-out", "keys change their security, which was left out"),
    ];
    let said = all.into_iter().filter(|(count, _, _)| *count > 0);
    said.map(|(count, code, message)| Warning {
        code: code.to_owned(),
        message: format!("{count} {message}: a .reg file has no place for it, --format json has"),
        paths: Vec::new(),
        count: 0,
    })
    .collect()
}

enum Form<'w> {
    Reg(RegFile<'w>),
    Json(JsonFile<'w>),
}

struct Export<'e, 'w> {
    form: Form<'w>,
    fail: &'e dyn Fn(io::Error) -> Error,
    request: &'e RegistryExportRequest,
    /// Names of the key that is asked for.
    key: Vec<Name<'static>>,
    /// Of what.
    reference: String,
    /// The hives that were written.
    hives: Vec<String>,
    /// Keys of layers that change their security.
    relabelled: u64,
}

impl Export<'_, '_> {
    fn layer(&mut self, manifest: &Manifest, filter: &HiveFilter) -> Result<()> {
        let all = of_layer(manifest);
        let wanted: Vec<_> = all.iter().filter(|hive| filter.matches(&hive.name)).collect();
        self.require_hive(!wanted.is_empty(), all.iter().map(|hive| &hive.name))?;
        for hive in wanted {
            let delta = &hive.record.delta;
            let part;
            let delta = match self.key.is_empty() {
                true => delta,
                false => match delta.below(&self.key, unicode()) {
                    Some(found) => {
                        part = found;
                        &part
                    }
                    None => continue,
                },
            };
            self.relabelled += relabelled(delta);
            let written = match &mut self.form {
                Form::Reg(reg) => reg.delta(delta, &hive.name.place()),
                Form::Json(json) => json.delta(&hive.name, delta),
            };
            written.map_err(self.fail)?;
            self.hives.push(hive.name.shown().to_owned());
        }
        self.require_key()
    }

    fn volume(&mut self, volume: &Volume, filter: &HiveFilter, progress: &dyn Progress) -> Result<()> {
        let all = volume.hives();
        let wanted: Vec<_> = all.iter().filter(|hive| filter.matches(&hive.name)).collect();
        self.require_hive(!wanted.is_empty(), all.iter().map(|hive| &hive.name))?;
        progress.step("Writing the registry", Some(wanted.len() as u64), Unit::Items);
        let upcase = volume.upcase();
        for hive in wanted {
            if progress.cancelled() {
                return Err(Error::Cancelled);
            }
            let opened = volume.read(hive)?;
            let (tree, _) = Tree::load(&opened, &upcase).map_err(|source| damaged(volume, hive, source))?;
            progress.advance(1);
            let Some(key) = self.find(&tree, hive.kind) else { continue };
            let path = tree.path(key);
            let place = match path.is_empty() {
                true => hive.name.place(),
                false => format!("{}\\{path}", hive.name.place()),
            };
            let written = match &mut self.form {
                Form::Reg(reg) => reg.tree(&tree, key, &place),
                Form::Json(json) => json.tree(&hive.name, &tree, key),
            };
            written.map_err(self.fail)?;
            self.hives.push(hive.name.shown().to_owned());
        }
        self.require_key()
    }

    /// The key that is asked for. `CurrentControlSet` leads to the control set that Windows starts with
    /// next.
    fn find(&self, tree: &Tree<'_>, kind: Option<HiveKind>) -> Option<KeyId> {
        let mut names = self.key.iter().peekable();
        let mut key = tree.root();
        if kind == Some(HiveKind::System)
            && let Some(set) = names.peek().and_then(|name| crate::registry::current_set(tree, name))
        {
            names.next();
            key = set;
        }
        names.try_fold(key, |key, name| tree.subkey(key, name))
    }

    fn require_hive<'n>(&self, found: bool, names: impl Iterator<Item = &'n HiveName>) -> Result<()> {
        match (found, self.request.scope.hive.as_deref()) {
            (false, hive @ Some(_)) => Err(HiveFilter::refuse(hive, &self.reference, names)),
            _ => Ok(()),
        }
    }

    fn require_key(&self) -> Result<()> {
        match &self.request.scope.key {
            Some(key) if self.hives.is_empty() => Err(no_key(key, self.reference.clone())),
            _ => Ok(()),
        }
    }
}

/// How many keys of a delta change their security.
fn relabelled(delta: &Delta) -> u64 {
    let changed = delta.keys.iter().filter(|key| match &key.role {
        KeyRole::Changed { security, .. } => {
            let descriptor = |at: Option<u32>| at.map(|at| &delta.securities[at as usize]);
            descriptor(*security) != descriptor(key.security)
        }
        _ => false,
    });
    changed.count() as u64
}
