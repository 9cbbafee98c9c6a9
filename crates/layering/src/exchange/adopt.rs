//! Making an imported version visible, under a name and at a position of its layer.
//!
//! A record that keeps its name and position stays byte for byte what it was, and so does its identity, by which other
//! records name it. One that has to take another says in `origin` what it was.

use super::content::{Records, version_object};
use super::error::LayoutError;
use crate::catalog::{Catalog, Version, reference_text, version_ref};
use crate::error::Rule;
use crate::record::{Pinned, VersionRecord};
use crate::reference::{EntityName, LayerKind};
use crate::{Error, Result};
use operation::Progress;
use serde_json::{Map, Value};
use store::{Expect, ObjectId, Session};

/// A version that is to be imported, with the names that it gets here.
pub(super) struct Incoming<'r> {
    pub(super) records: &'r Records,
    pub(super) layer: EntityName,
    pub(super) os_layer: Option<EntityName>,
}

/// How a version fits into the store.
#[derive(Debug)]
pub(super) enum Fit {
    /// At this position of its layer.
    At(u64),
    /// It is there already.
    Same(Box<Version>),
}

impl Incoming<'_> {
    fn record(&self) -> &VersionRecord {
        &self.records.record
    }

    /// `kind:LAYER@VERSION`, as it will be called here.
    pub(super) fn reference(&self) -> String {
        reference_text(self.record().kind, &self.layer, &self.record().version)
    }

    /// What identifies the version wherever it is.
    fn identity(&self) -> ObjectId {
        self.record().origin.as_ref().map_or(self.records.id, |origin| origin.id)
    }

    /// Finds its place, or refuses: another version of its name, or a layer that belongs to another OS layer.
    pub(super) fn fit(&self, catalog: &Catalog<'_>) -> Result<Fit> {
        let record = self.record();
        let versions = catalog.versions_of(record.kind, &self.layer)?;
        if let Some(there) = versions.iter().find(|there| there.record.version == record.version) {
            if there.identity() == self.identity() && there.record.body == record.body {
                return Ok(Fit::Same(Box::new(there.clone())));
            }
            let say = |id: ObjectId, created: u64| format!("{id}, made {created} s after 1970");
            return Err(LayoutError::Differs {
                what: self.reference(),
                here: say(there.id, there.record.created),
                there: say(self.records.id, record.created),
            }
            .into());
        }
        let os_layer = self.os_layer.as_ref();
        if let Some(other) = versions.iter().find(|other| other.record.os_layer.as_ref() != os_layer) {
            return Err(Rule::OtherOs {
                layer: format!("{}:{}", record.kind, self.layer),
                belongs: other.os_layer().to_string(),
                os: os_layer.unwrap_or(&self.layer).to_string(),
            }
            .into());
        }
        let taken = versions.iter().any(|other| other.record.sequence == record.sequence);
        let last = versions.last().map_or(0, |last| last.record.sequence);
        Ok(Fit::At(if taken { last + 1 } else { record.sequence }))
    }

    /// Refuses an app or platform version whose OS layer is not there.
    pub(super) fn require_os(&self, catalog: &Catalog<'_>) -> Result<()> {
        match &self.os_layer {
            Some(os) if catalog.versions_of(LayerKind::Os, os)?.is_empty() => {
                Err(LayoutError::NoOs { version: self.reference(), os_layer: os.to_string() }.into())
            }
            _ => Ok(()),
        }
    }

    /// Stores the record, whose body is stored, and makes the version visible, in one step that either happens or does
    /// not.
    pub(super) fn publish(
        &self,
        session: &Session,
        catalog: &Catalog<'_>,
        progress: &dyn Progress,
    ) -> Result<Version> {
        if progress.cancelled() {
            return Err(Error::Cancelled);
        }
        let name = version_ref(self.record().kind, &self.layer, &self.record().version)?;
        loop {
            let sequence = match self.fit(catalog)? {
                Fit::Same(there) => return Ok(*there),
                Fit::At(sequence) => sequence,
            };
            let payload = self.payload(sequence)?;
            let record: VersionRecord = serde_json::from_slice(&payload)
                .map_err(|error| Error::record("a record that was imported", &error))?;
            let id = session.put_object(&version_object(&record, payload))?;
            let refs = session.store().lock_refs()?;
            self.require_os(catalog)?;
            // Another version of the layer may have come meanwhile.
            if matches!(self.fit(catalog)?, Fit::At(still) if still == sequence) {
                refs.set(&name, Expect::Absent, id)?;
                return Ok(Version { id, record });
            }
        }
    }

    /// The record as it is stored here. Fields that are not known stay.
    fn payload(&self, sequence: u64) -> Result<Vec<u8>> {
        let record = self.record();
        let same_layer = self.layer.as_str() == record.layer.as_str();
        let same_os = self.os_layer.as_ref().map(EntityName::as_str)
            == record.os_layer.as_ref().map(EntityName::as_str);
        if same_layer && same_os && sequence == record.sequence {
            return Ok(self.records.payload.clone());
        }
        let damaged = |error| Error::record("a record that is imported", &error);
        let mut fields: Map<String, Value> =
            serde_json::from_slice(&self.records.payload).map_err(damaged)?;
        fields.insert("layer".into(), self.layer.as_str().into());
        if let Some(os) = &self.os_layer {
            fields.insert("os_layer".into(), os.as_str().into());
        }
        fields.insert("sequence".into(), sequence.into());
        if record.origin.is_none() {
            let origin = Pinned { reference: self.records.reference(), id: self.records.id };
            fields.insert("origin".into(), serde_json::to_value(origin).map_err(damaged)?);
        }
        serde_json::to_vec(&fields).map_err(damaged)
    }
}
