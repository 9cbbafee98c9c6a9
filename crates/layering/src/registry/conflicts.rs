//! What of the registry several layers claim, and what the OS version has changed since they were captured.

use super::compose::{HiveRead, Hives, RegistryLayer};
use super::{Keys, ListValues, Meaning, merge};
use crate::error::Rule;
use crate::placement::Placement;
use crate::plan::Steps;
use crate::query::rows::shown;
use crate::recipes::CleanUp;
use crate::report::{ConflictSubject, DiffKind, RegistryConflict, RegistryLoser, Warning};
use crate::{Error, Result};
use disk::ByteSource;
use hive::{Data, Delta, KeyChange, KeyId, KeyRole, ListKind, Lists, Name, Upcase, ValueChange, merge_lists};
use operation::{Progress, Unit};
use std::collections::{BTreeMap, HashMap};
use volume::Tree;

/// Most text of the rows of one hive, bytes: names on a disk may be long, and keys many.
const MOST_TEXT: usize = 128 << 20;

/// What layers claim together in the registry of an OS volume and in hives that they bring, and what composing them would
/// remark. `os` is the OS version's reference, `context` what messages call the volume; `placement` has what the layers
/// bring.
pub(crate) fn conflicts(
    (tree, window): (&Tree, &dyn ByteSource),
    steps: &Steps,
    layers: &[RegistryLayer<'_>],
    lists: &ListValues,
    placement: &Placement<'_>,
    (os, context): (&str, &str),
    progress: &dyn Progress,
) -> Result<(Vec<RegistryConflict>, Vec<Warning>)> {
    let mut hives = Hives::new(tree, window, steps, os, context);
    let targets = hives.targets(layers, &CleanUp::default());
    progress.step("Merging the registry", Some(targets.len() as u64), Unit::Items);
    let upcase = hives.upcase();
    let mut rows = Vec::new();
    for target in targets.values() {
        if progress.cancelled() {
            return Err(Error::Cancelled);
        }
        let (read, os) = match target.brought {
            Some(_) if !target.is_changed() => (None, None),
            Some(brought) => (hives.read_brought(target, brought, layers, placement)?, None),
            None => (hives.open(target, layers)?.map(|opened| opened.read), Some(os)),
        };
        if let Some(HiveRead { kind, hive, place }) = read {
            let name = target.name(kind);
            let meaning = Meaning { kind, shown: name.shown(), upcase: &upcase, lists };
            let merged = merge(meaning, &hive, &target.of(layers), os)
                .map_err(|source| Error::Hive { context: place.clone(), source })?;
            let text: usize = merged.conflicts.iter().map(text_len).sum();
            if text > MOST_TEXT {
                let what = format!("the conflicts in {place}");
                return Err(Rule::TooManyRows { what, limit: (MOST_TEXT >> 20) as u64 }.into());
            }
            hives.remark(name.shown(), &merged);
            hives.note_mended(target, &merged.repairs);
            rows.extend(merged.conflicts);
        }
        progress.advance(1);
    }
    rows.sort_by(|a, b| a.hive.cmp(&b.hive));
    Ok((rows, hives.warnings()))
}

fn text_len(row: &RegistryConflict) -> usize {
    let losers = row.losers.iter().filter_map(|loser| loser.value.as_ref());
    let values = losers.chain(&row.winner_value).map(|value| value.data.len());
    size_of::<RegistryConflict>()
        + row.key.len()
        + row.value.as_ref().map_or(0, String::len)
        + values.sum::<usize>()
}

/// What layers, lowest first, claim together in a hive that is `tree` in the OS version `os`, or that one of them brings.
/// Ends with the row that makes the text longer than [`MOST_TEXT`].
pub(super) fn of_hive(
    tree: &hive::Tree<'_>,
    hive: &str,
    layers: &[(&RegistryLayer<'_>, &Delta)],
    lists: &dyn Lists,
    os: Option<&str>,
) -> Vec<RegistryConflict> {
    let upcase = tree.upcase();
    let deltas: Vec<&Delta> = layers.iter().map(|(_, delta)| *delta).collect();
    let keys = Keys::of(&deltas, upcase);
    let order = keys.walk(upcase);
    let needed = needed(&keys, &order);
    let mut places: Vec<Option<KeyId>> = vec![None; keys.len()];
    let mut contested = vec![false; keys.len()];
    let mut found = Vec::new();
    let mut text = 0;
    for at in order {
        let key = keys.key(at);
        places[at] = match (at, key.name()) {
            (0, _) | (_, None) => Some(tree.root()),
            (_, Some(name)) => places[key.parent].and_then(|parent| tree.subkey(parent, name)),
        };
        let before = found.len();
        let look = Look { tree, place: places[at], hive, layers, lists, os, upcase };
        let removers: Vec<usize> = key
            .said
            .iter()
            .filter(|(_, delta, position)| delta.keys[*position].role == KeyRole::Removed)
            .map(|(by, _, _)| *by)
            .collect();
        contested[at] = !removers.is_empty() && !needed[at].is_empty();
        if contested[at] && !contested[key.parent] {
            found.push(look.key(key.path(), &removers, &needed[at]));
        }
        let said: Vec<(usize, &Delta, &KeyChange)> =
            key.said.iter().map(|(by, delta, position)| (*by, *delta, &delta.keys[*position])).collect();
        found.extend(look.security(&said, || key.path()));
        look.values(&said, || key.path(), &mut found);
        text += found[before..].iter().map(text_len).sum::<usize>();
        if text > MOST_TEXT {
            break;
        }
    }
    found
}

/// Which layers need each key: they make or change it, or put something into it or below.
fn needed(keys: &Keys<'_>, order: &[usize]) -> Vec<Vec<usize>> {
    let mut needed: Vec<Vec<usize>> = vec![Vec::new(); keys.len()];
    for at in order.iter().rev().copied().filter(|at| *at != 0) {
        for (by, delta, position) in &keys.key(at).said {
            let key = &delta.keys[*position];
            let itself = matches!(key.role, KeyRole::Added | KeyRole::Changed { .. });
            if itself || key.values.iter().any(|value| value.after.is_some()) {
                needed[at].push(*by);
            }
        }
        needed[at].sort_unstable();
        needed[at].dedup();
        let parent = keys.key(at).parent;
        if parent != 0 {
            let own = needed[at].clone();
            needed[parent].extend(own);
        }
    }
    needed
}

/// One key while conflicts are looked for.
struct Look<'l> {
    tree: &'l hive::Tree<'l>,
    /// The key in the OS version.
    place: Option<KeyId>,
    hive: &'l str,
    layers: &'l [(&'l RegistryLayer<'l>, &'l Delta)],
    lists: &'l dyn Lists,
    /// The OS version; `None` where the hive is a layer's, and `tree` is no state of an OS.
    os: Option<&'l str>,
    upcase: &'l Upcase,
}

/// What a layer makes of something that was `before`.
struct Claim<T> {
    layer: usize,
    before: T,
    after: T,
}

impl Look<'_> {
    fn label(&self, layer: usize) -> String {
        self.layers[layer].0.label.to_owned()
    }

    fn row(
        &self,
        key: String,
        subject: ConflictSubject,
        winner: usize,
        change: DiffKind,
    ) -> RegistryConflict {
        RegistryConflict {
            hive: self.hive.to_owned(),
            key,
            subject,
            value: None,
            winner: self.label(winner),
            change,
            winner_value: None,
            losers: Vec::new(),
            changed_by_os: false,
        }
    }

    /// A key that some layers remove and others need.
    fn key(&self, path: String, removers: &[usize], needed: &[usize]) -> RegistryConflict {
        let mut all: Vec<usize> = removers.iter().chain(needed).copied().collect();
        all.sort_unstable();
        let winner = all.pop().unwrap_or_default();
        let change = match removers.contains(&winner) {
            true => DiffKind::Removed,
            false if self.place.is_some() => DiffKind::Changed,
            false => DiffKind::Added,
        };
        let differ = all.iter().rev().filter(|layer| removers.contains(layer) != removers.contains(&winner));
        let losers = differ.map(|layer| RegistryLoser { reference: self.label(*layer), value: None });
        RegistryConflict { losers: losers.collect(), ..self.row(path, ConflictSubject::Key, winner, change) }
    }

    /// Whether something that is `now` in the OS version is neither what the highest claim found nor what a lower layer
    /// had made of it.
    fn changed_by_os<T: PartialEq + Copy>(&self, claims: &[Claim<T>], now: T) -> bool {
        let Some((highest, mut below)) = claims.split_last().filter(|_| self.os.is_some()) else {
            return false;
        };
        let mut claim = highest;
        loop {
            if self.layers[claim.layer].0.same_os_version || now == claim.before || now == claim.after {
                return false;
            }
            // what it found may be what a layer below it had made
            match below.iter().rposition(|lower| lower.after == claim.before) {
                Some(at) => (claim, below) = (&below[at], &below[..at]),
                None => return true,
            }
        }
    }

    fn security(
        &self,
        said: &[(usize, &Delta, &KeyChange)],
        path: impl Fn() -> String,
    ) -> Option<RegistryConflict> {
        let mut claims = Vec::new();
        let mut made = false;
        for (layer, delta, key) in said {
            let descriptor = |at: Option<u32>| at.map(|at| &delta.securities[at as usize][..]);
            let after = descriptor(key.security);
            let before = match &key.role {
                KeyRole::Changed { security, .. } => descriptor(*security),
                KeyRole::Added => None,
                KeyRole::Context | KeyRole::Removed => continue,
            };
            made |= key.role == KeyRole::Added;
            if before != after {
                claims.push(Claim { layer: *layer, before, after });
            }
        }
        let winner = claims.last()?;
        if self.place.is_none() && !made {
            return None;
        }
        let now = self.place.and_then(|place| self.tree.key_security(place));
        let changed_by_os = self.changed_by_os(&claims, now);
        let contested = claims.iter().any(|claim| claim.after != winner.after);
        if !contested && !changed_by_os {
            return None;
        }
        let others = claims.iter().rev().filter(|claim| claim.after != winner.after);
        let mut losers: Vec<String> = others.map(|claim| self.label(claim.layer)).collect();
        losers.extend(self.os.filter(|_| self.place.is_some() && now != winner.after).map(str::to_owned));
        let losers = losers.into_iter().map(|reference| RegistryLoser { reference, value: None }).collect();
        let row = self.row(path(), ConflictSubject::Security, winner.layer, DiffKind::Changed);
        Some(RegistryConflict { losers, changed_by_os, ..row })
    }

    fn values(
        &self,
        said: &[(usize, &Delta, &KeyChange)],
        path: impl Fn() -> String,
        into: &mut Vec<RegistryConflict>,
    ) {
        let with_values = said.iter().filter(|(_, _, key)| !key.values.is_empty()).count();
        let os_may_differ = said.iter().any(|(layer, _, _)| !self.layers[*layer].0.same_os_version);
        if with_values == 0 || (with_values == 1 && !os_may_differ) {
            return;
        }
        let mut now: HashMap<Vec<u16>, &Data<'_>> = HashMap::new();
        for value in self.place.map_or(&[][..], |place| self.tree.key(place).values()) {
            // of several with one name the first is found
            now.entry(self.upcase.folded(&value.name)).or_insert(&value.data);
        }
        let mut changes: BTreeMap<Vec<u16>, Vec<(usize, &ValueChange)>> = BTreeMap::new();
        for (layer, _, key) in said {
            for value in &key.values {
                changes.entry(self.upcase.folded(&value.name)).or_default().push((*layer, value));
            }
        }
        for (folded, changes) in changes {
            into.extend(self.value(&changes, now.get(&folded).copied(), &path));
        }
    }

    fn value(
        &self,
        changes: &[(usize, &ValueChange)],
        now: Option<&Data<'_>>,
        path: impl Fn() -> String,
    ) -> Option<RegistryConflict> {
        let claims: Vec<Claim<Option<&Data<'_>>>> = changes
            .iter()
            .map(|(layer, change)| Claim {
                layer: *layer,
                before: change.before.as_ref(),
                after: change.after.as_ref(),
            })
            .collect();
        let (winner, name) = (claims.last()?, &changes.last()?.1.name);
        let changed_by_os = self.changed_by_os(&claims, now);
        let contested = claims.iter().any(|claim| claim.after != winner.after);
        if !contested && !changed_by_os {
            return None;
        }
        let path = path();
        if self.lists.kind(&path, name).is_some_and(|kind| self.merges(kind, &claims, now)) {
            return None;
        }
        let others = claims.iter().rev().filter(|claim| claim.after != winner.after);
        let mut losers: Vec<RegistryLoser> = others
            .map(|claim| RegistryLoser { reference: self.label(claim.layer), value: claim.after.map(shown) })
            .collect();
        if let Some(os) = self.os.filter(|_| now.is_some() && now != winner.after) {
            losers.push(RegistryLoser { reference: os.to_owned(), value: now.map(shown) });
        }
        let change = match (now, winner.after) {
            (_, None) => DiffKind::Removed,
            (None, Some(_)) => DiffKind::Added,
            (Some(_), Some(_)) => DiffKind::Changed,
        };
        Some(RegistryConflict {
            value: Some(Name::to_string(name)),
            winner_value: winner.after.map(shown),
            losers,
            changed_by_os,
            ..self.row(path, ConflictSubject::Value, winner.layer, change)
        })
    }

    /// Whether all claims of a list can be merged.
    fn merges(&self, kind: ListKind, claims: &[Claim<Option<&Data<'_>>>], now: Option<&Data<'_>>) -> bool {
        let mut now = now.map(|data| data.clone().into_owned());
        for claim in claims {
            let merged = merge_lists(self.upcase, kind, claim.before, claim.after, now.as_ref());
            now = match merged.over(now.as_ref()) {
                Some(merged) => merged,
                None if now.as_ref() == claim.before => claim.after.map(|data| data.clone().into_owned()),
                None => return false,
            };
        }
        true
    }
}
