//! The registry of versions and images in rows, and how two of them differ.

use super::body::{Body, Volume, body};
use super::hives::{HiveFilter, HiveName, LayerHive, VolumeHive, key_path, of_layer, unicode};
use super::rows::{Rows, no_key};
use super::unlike;
use crate::catalog::{Catalog, Entry};
use crate::manifest::Manifest;
use crate::plan::warning;
use crate::registry::{HiveKind, enter_next_set};
use crate::report::{HiveChanges, HiveRow, RegistryDiffReport, RegistryRow, Warning};
use crate::request::RegistryScope;
use crate::{Error, Result};
use hive::{Delta, Hive, Tree, Upcase};
use operation::{Progress, Unit};
use std::collections::BTreeMap;
use store::Session;

/// What a layer version changes in the hives whose files are wanted.
pub(super) fn layer_rows(
    manifest: &Manifest,
    reference: &str,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<RegistryRow>> {
    let mut rows = Rows::new(reference.to_owned());
    for hive in of_layer(manifest).iter().filter(|hive| wanted(&hive.name.path)) {
        rows.delta(hive.name.shown(), &hive.record.delta)?;
    }
    Ok(rows.into_rows())
}

/// The hives of a volume whose files are wanted, with what is in them.
pub(super) fn hive_rows(
    volume: &Volume,
    wanted: impl Fn(&str) -> bool,
    progress: &dyn Progress,
) -> Result<Vec<HiveRow>> {
    let hives = volume.hives();
    let hives: Vec<&VolumeHive<'_>> = hives.iter().filter(|hive| wanted(&hive.name.path)).collect();
    progress.step("Reading the registry", Some(hives.len() as u64), Unit::Items);
    let upcase = volume.upcase();
    let mut rows = Vec::new();
    for hive in hives {
        if progress.cancelled() {
            return Err(Error::Cancelled);
        }
        let counted = volume.read(hive).and_then(|opened| {
            let (tree, _) = Tree::load(&opened, &upcase).map_err(|source| damaged(volume, hive, source))?;
            let count =
                |(keys, values): (u64, u64), key| (keys + 1, values + tree.key(key).values().len() as u64);
            Ok(tree.walk().map(|(key, _)| key).fold((0, 0), count))
        });
        let ((keys, values), problem) = match counted {
            Ok(counts) => (counts, None),
            Err(error) => ((0, 0), Some(error.to_string())),
        };
        let (name, path) = (hive.name.shown().to_owned(), hive.name.path.clone());
        rows.push(HiveRow { hive: name, path, keys, values, problem });
        progress.advance(1);
    }
    Ok(rows)
}

pub(super) fn damaged(volume: &Volume, hive: &VolumeHive<'_>, source: hive::Error) -> Error {
    Error::Hive { context: volume.place(hive), source }
}

/// How much a layer version changes in each hive.
pub(crate) fn changes(manifest: &Manifest) -> Vec<HiveChanges> {
    let changes = |hive: &LayerHive<'_>| {
        let counts = hive.record.delta.counts();
        HiveChanges {
            hive: hive.name.shown().to_owned(),
            keys_added: counts.keys_added as u64,
            keys_changed: counts.keys_changed as u64,
            keys_removed: counts.keys_removed as u64,
            values_added: counts.values_added as u64,
            values_changed: counts.values_changed as u64,
            values_removed: counts.values_removed as u64,
        }
    };
    of_layer(manifest).iter().map(changes).collect()
}

/// How the registries of two entries differ, in the part that is asked for.
pub(crate) fn registry_diff(
    session: &Session,
    catalog: &Catalog<'_>,
    (from, to): (&Entry, &Entry),
    scope: &RegistryScope,
    progress: &dyn Progress,
) -> Result<RegistryDiffReport> {
    let part = Part::of(scope)?;
    let bodies = (body(session, catalog, from, progress)?, body(session, catalog, to, progress)?);
    let mut rows = Rows::new(label(from, to));
    match &bodies {
        (Body::Manifest(a), Body::Manifest(b)) => part.layers(&mut rows, a, b)?,
        (Body::Volume(a), Body::Volume(b)) => part.volumes(&mut rows, (a, b), progress, &mut Err)?,
        _ => return Err(unlike()),
    }
    Ok(RegistryDiffReport { from: from.summary(), to: to.summary(), rows: rows.into_rows() })
}

/// How what two layer versions change in the registry differs.
pub(super) fn layer_diff(
    from: &Entry,
    to: &Entry,
    (a, b): (&Manifest, &Manifest),
) -> Result<Vec<RegistryRow>> {
    let mut rows = Rows::new(label(from, to));
    Part::of(&RegistryScope::default())?.layers(&mut rows, a, b)?;
    Ok(rows.into_rows())
}

/// How the registries of two volumes differ; hives that cannot be read are named in a warning.
pub(super) fn volume_diff(
    from: &Entry,
    to: &Entry,
    volumes: (&Volume, &Volume),
    progress: &dyn Progress,
) -> Result<(Vec<RegistryRow>, Vec<Warning>)> {
    let mut rows = Rows::new(label(from, to));
    let mut unreadable = Vec::new();
    let mut note = |error| match error {
        Error::Hive { .. } | Error::Io { .. } => {
            unreadable.push(error.to_string());
            Ok(())
        }
        other => Err(other),
    };
    Part::of(&RegistryScope::default())?.volumes(&mut rows, volumes, progress, &mut note)?;
    Ok((rows.into_rows(), unreadable_warning(unreadable).into_iter().collect()))
}

/// The remark that hives cannot be read, each with the reason.
pub(super) fn unreadable_warning(hives: Vec<String>) -> Option<Warning> {
    let message = "registry hives that cannot be read were left out";
    (!hives.is_empty()).then(|| warning("hive-unreadable", message, hives))
}

fn label(from: &Entry, to: &Entry) -> String {
    format!("{} and {}", from.reference(), to.reference())
}

/// A part of a registry that is asked for.
struct Part<'s> {
    scope: &'s RegistryScope,
    filter: HiveFilter,
    key: Vec<hive::Name<'static>>,
}

/// Two sides, of which either may lack something.
type Pair<T> = (Option<T>, Option<T>);

impl<'s> Part<'s> {
    fn of(scope: &'s RegistryScope) -> Result<Part<'s>> {
        let filter = HiveFilter::parse(scope.hive.as_deref())?;
        let key = scope.key.as_deref().map(key_path).unwrap_or_default();
        Ok(Part { scope, filter, key })
    }

    /// Hives of two sides that are asked for, in pairs by the path of their file.
    fn pairs<T>(
        &self,
        from: impl IntoIterator<Item = T>,
        to: impl IntoIterator<Item = T>,
        name: impl Fn(&T) -> &HiveName,
    ) -> Result<Vec<Pair<T>>> {
        let mut pairs: BTreeMap<String, Pair<T>> = BTreeMap::new();
        let mut others = Vec::new();
        for (side, hive) in from.into_iter().map(|hive| (0, hive)).chain(to.into_iter().map(|hive| (1, hive)))
        {
            let own = name(&hive);
            if !self.filter.matches(own) {
                others.push(own.clone());
                continue;
            }
            let pair = pairs.entry(own.path.to_uppercase()).or_insert((None, None));
            *(if side == 0 { &mut pair.0 } else { &mut pair.1 }) = Some(hive);
        }
        if pairs.is_empty() && self.scope.hive.is_some() {
            others.dedup();
            return Err(HiveFilter::refuse(self.scope.hive.as_deref(), "either side", others.iter()));
        }
        Ok(pairs.into_values().collect())
    }

    fn layers(&self, rows: &mut Rows, from: &Manifest, to: &Manifest) -> Result<()> {
        let mut found = self.key.is_empty();
        for pair in self.pairs(of_layer(from), of_layer(to), |hive| &hive.name)? {
            let delta = |hive: &Option<LayerHive<'_>>| -> Delta {
                let delta = hive.as_ref().map(|hive| &hive.record.delta);
                let part = delta.and_then(|delta| match self.key.is_empty() {
                    true => Some(delta.clone()),
                    false => delta.below(&self.key, unicode()),
                });
                part.unwrap_or_default()
            };
            let (a, b) = (delta(&pair.0), delta(&pair.1));
            found |= !a.keys.is_empty() || !b.keys.is_empty();
            if let Some(hive) = pair.1.or(pair.0) {
                rows.between(hive.name.shown(), &a, &b)?;
            }
        }
        self.require(found)
    }

    fn require(&self, found: bool) -> Result<()> {
        match (found, &self.scope.key) {
            (false, Some(key)) => Err(no_key(key, "either side".to_owned())),
            _ => Ok(()),
        }
    }

    /// Compares hives that both sides have. What is wrong with a hive goes to `failed`.
    fn volumes(
        &self,
        rows: &mut Rows,
        (from, to): (&Volume, &Volume),
        progress: &dyn Progress,
        failed: &mut dyn FnMut(Error) -> Result<()>,
    ) -> Result<()> {
        let pairs = self.pairs(from.hives(), to.hives(), |hive| &hive.name)?;
        if self.scope.hive.is_some() && !pairs.iter().any(|pair| pair.0.is_some() && pair.1.is_some()) {
            let found = from.hives().into_iter().chain(to.hives()).map(|hive| hive.name);
            let mut found: Vec<HiveName> = found.filter(|name| !self.filter.matches(name)).collect();
            found.dedup();
            return Err(HiveFilter::refuse(self.scope.hive.as_deref(), "one of the two", found.iter()));
        }
        progress.step("Comparing the registry", Some(pairs.len() as u64), Unit::Items);
        let upcase = to.upcase();
        let mut found = self.key.is_empty();
        for pair in pairs {
            if progress.cancelled() {
                return Err(Error::Cancelled);
            }
            progress.advance(1);
            let (Some(a), Some(b)) = pair else { continue };
            let compared = self.hives((from, &a), (to, &b), &upcase);
            match compared {
                Ok(None) => {}
                Ok(Some(delta)) => {
                    found = true;
                    rows.delta(b.name.shown(), &delta)?;
                }
                Err(error) => failed(error)?,
            }
        }
        self.require(found)
    }

    /// What changed in a hive; `None` where neither side has the key that is asked for.
    fn hives(
        &self,
        (from, old): (&Volume, &VolumeHive<'_>),
        (to, new): (&Volume, &VolumeHive<'_>),
        upcase: &Upcase,
    ) -> Result<Option<Delta>> {
        if self.key.is_empty() && from.digests(old)? == to.digests(new)? {
            return Ok(Some(Delta::default()));
        }
        let (before, after) = (from.read(old)?, to.read(new)?);
        let before = tree(&before, upcase, old.kind).map_err(|source| damaged(from, old, source))?;
        let after = tree(&after, upcase, new.kind).map_err(|source| damaged(to, new, source))?;
        let delta = Delta::between(&before, &after);
        if self.key.is_empty() {
            return Ok(Some(delta));
        }
        let has = |tree: &Tree<'_>| {
            let mut names = self.key.iter();
            names.try_fold(tree.root(), |key, name| tree.subkey(key, name)).is_some()
        };
        let known = has(&before) || has(&after);
        Ok(known.then(|| delta.below(&self.key, upcase).unwrap_or_default()))
    }
}

/// A hive as it is compared: the control set that Windows starts with next under the name `CurrentControlSet`.
fn tree<'h>(hive: &'h Hive, upcase: &'h Upcase, kind: Option<HiveKind>) -> hive::Result<Tree<'h>> {
    let (mut tree, _) = Tree::load(hive, upcase)?;
    if kind == Some(HiveKind::System) {
        enter_next_set(&mut tree);
    }
    Ok(tree)
}
