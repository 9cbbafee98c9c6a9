//! OS layers, from disks that are imported.

use super::super::layers::check_icon;
use super::super::sagas::{IMPORT_OS, ImportOs, VersionInStore};
use super::super::tasks::Wanted;
use super::super::{App, Begun, Call, Object, Refusal};
use super::{LayerRow, Making, VersionRow, connector_of, disk_name, insert_layer, insert_version};
use crate::domain::layer::{Hypervisor, LayerKind, check_max_bytes, default_max_bytes};
use crate::domain::name::Name;
use crate::domain::text::check_description;
use crate::domain::{Action, ConfigurationId, IconId, Invalid, TaskId, icon};
use connectors::Purpose;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An OS layer to be made from a disk.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewOsLayer {
    /// Its name.
    #[schema(min_length = 1, max_length = 100)]
    pub name: String,
    /// What it holds.
    #[serde(default)]
    pub description: String,
    /// Its icon; that of OS layers when absent.
    pub icon_id: Option<IconId>,
    /// Name of its first version.
    #[schema(min_length = 1, max_length = 100)]
    pub version: String,
    /// What is in the first version.
    #[serde(default)]
    pub version_description: String,
    /// On what the disk was made; decides whether packaging elsewhere needs a packaging platform layer.
    pub hypervisor: Option<Hypervisor>,
    /// Where the disk is; the file share when absent.
    pub configuration_id: Option<ConfigurationId>,
    /// The disk's name there.
    pub disk: String,
    /// Number of the partition that is the OS volume, where the disk alone does not tell.
    #[schema(minimum = 1, maximum = 128)]
    pub volume: Option<u32>,
    /// Most bytes that it may have; 100 GiB when absent.
    #[schema(minimum = 1_048_576)]
    pub max_bytes: Option<i64>,
    /// Why findings of the integrity check are overridden; for administrators.
    pub override_reason: Option<String>,
}

impl App {
    /// Makes an OS layer from a disk.
    pub async fn create_os_layer(&self, call: &Call, new: &NewOsLayer) -> Result<Making, Refusal> {
        call.may(Action::CreateOsLayer)?;
        let mut invalid = Invalid::new();
        let name = invalid.take(Name::check("name", &new.name));
        let description = invalid.take(check_description("description", &new.description));
        let version = invalid.take(Name::check("version", &new.version));
        let version_description =
            invalid.take(check_description("version_description", &new.version_description));
        let disk = invalid.take(disk_name("disk", &new.disk));
        if new.volume.is_some_and(|volume| !(1..=128).contains(&volume)) {
            invalid.add("volume", "out-of-range", "A partition's number is 1 to 128.");
        }
        let max_bytes = new.max_bytes.unwrap_or_else(|| default_max_bytes(LayerKind::Os));
        invalid.take(check_max_bytes("max_bytes", max_bytes));
        let override_reason = self.check_override(call, &mut invalid, new.override_reason.as_deref());
        let icon = new.icon_id.unwrap_or(icon::of_layer(LayerKind::Os));
        invalid.take(check_icon(&mut &self.db, "icon_id", icon).await?);
        let (Some(name), Some(description), Some(version), Some(version_description), Some(disk)) =
            (name, description, version, version_description, disk)
        else {
            return Err(invalid.into());
        };
        invalid.finish()?;
        let configuration = self.place_or_share(new.configuration_id).await?;

        let mut change = match self.begin_creating(call, Action::CreateOsLayer, new).await? {
            Begun::Before(making) => return Ok(making),
            Begun::Now(change) => change,
        };
        let connector = connector_of(&mut change, "configuration_id", configuration).await?;
        self.check_purpose("configuration_id", &connector, Purpose::Import, None)?;
        let layer = LayerRow {
            kind: LayerKind::Os,
            name: &name,
            description: &description,
            os_layer: None,
            icon,
            platform: None,
            hypervisor: new.hypervisor.map(Hypervisor::as_str),
        };
        let (layer, store_name) = insert_layer(&mut change, &layer).await?;
        let row = VersionRow { layer, name: &version, description: &version_description, max_bytes };
        let (id, store_version) = insert_version(&mut change, &row).await?;
        let parameters = ImportOs {
            version: VersionInStore { layer, version: id, kind: LayerKind::Os, store_name, store_version },
            configuration,
            disk,
            volume: new.volume,
            max_bytes: max_bytes.unsigned_abs(),
            override_reason,
        };
        let task = TaskId::new();
        let text = layer.to_string();
        let object = Object { kind: "layer", id: &text, name: name.as_str() };
        let wanted = Wanted {
            saga: IMPORT_OS,
            title: "OS Layer",
            description: format!("Importing the disk {} as the OS layer {}.", new.disk, name.as_str()),
            object,
            parameters,
        };
        self.enqueue(&mut change, task, wanted).await?;
        let (also, detail) = ([("version", id.to_string())], serde_json::json!({ "request": new }));
        change.audit_touching(Action::CreateOsLayer, object, &also, &detail).await?;
        let making = Making { layer_id: layer, version_id: id, task_id: task };
        change.remember(&making).await?;
        change.commit().await?;
        Ok(making)
    }
}
