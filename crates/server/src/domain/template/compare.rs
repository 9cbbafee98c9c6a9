//! What differs between two states of a template.

use super::{AppVersion, LayerVersion, TemplateContent};
use crate::domain::LayerId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

/// A field that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldChange {
    /// Which, such as `disk.bytes`.
    pub field: String,
    /// What it was; null when there was nothing.
    pub before: Value,
    /// What it is.
    pub after: Value,
}

/// An app that is in both, but not the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AppChange {
    /// The layer.
    pub layer_id: LayerId,
    /// Its name.
    pub layer: String,
    /// What it was.
    pub before: AppVersion,
    /// What it is.
    pub after: AppVersion,
}

/// What differs between two states of a template.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Comparison {
    /// Fields that differ, without the apps.
    pub fields: Vec<FieldChange>,
    /// Apps that only the second has.
    pub apps_added: Vec<AppVersion>,
    /// Apps that only the first has.
    pub apps_removed: Vec<AppVersion>,
    /// Apps that have another version or another priority in the template.
    pub apps_changed: Vec<AppChange>,
}

impl Comparison {
    /// Compares two states. What only got another name meanwhile is the same.
    pub fn of(before: &TemplateContent, after: &TemplateContent) -> Comparison {
        let mut comparison = Comparison { fields: fields(before, after), ..Comparison::default() };
        let find =
            |apps: &[AppVersion], layer: LayerId| apps.iter().find(|app| app.layer_id == layer).cloned();
        for app in &after.apps {
            match find(&before.apps, app.layer_id) {
                None => comparison.apps_added.push(app.clone()),
                Some(was) if (was.version_id, was.priority) != (app.version_id, app.priority) => {
                    comparison.apps_changed.push(AppChange {
                        layer_id: app.layer_id,
                        layer: app.layer.clone(),
                        before: was,
                        after: app.clone(),
                    });
                }
                Some(_) => {}
            }
        }
        comparison.apps_removed =
            before.apps.iter().filter(|app| find(&after.apps, app.layer_id).is_none()).cloned().collect();
        comparison
    }
}

fn fields(before: &TemplateContent, after: &TemplateContent) -> Vec<FieldChange> {
    let mut fields = Vec::new();
    let mut compare = |field: &str, same: bool, before: Value, after: Value| {
        if !same {
            fields.push(FieldChange { field: field.to_owned(), before, after });
        }
    };
    let (b, a) = (before, after);
    compare("name", b.name == a.name, json!(b.name), json!(a.name));
    compare("description", b.description == a.description, json!(b.description), json!(a.description));
    compare("icon_id", b.icon_id == a.icon_id, json!(b.icon_id), json!(a.icon_id));
    compare("os", b.os.version_id == a.os.version_id, json!(b.os), json!(a.os));
    let version = |part: &Option<LayerVersion>| part.as_ref().map(|part| part.version_id);
    let same = version(&b.platform) == version(&a.platform);
    compare("platform", same, json!(b.platform), json!(a.platform));
    let id = |content: &TemplateContent| content.configuration.as_ref().map(|one| one.id);
    compare("configuration", id(b) == id(a), json!(b.configuration), json!(a.configuration));
    let (b, a) = (&b.disk, &a.disk);
    compare("disk.bytes", b.bytes == a.bytes, json!(b.bytes), json!(a.bytes));
    compare("disk.format", b.format == a.format, json!(b.format), json!(a.format));
    compare("disk.name", b.name == a.name, json!(b.name), json!(a.name));
    compare("disk.recovery", b.recovery == a.recovery, json!(b.recovery), json!(a.recovery));
    let same = b.generalisation == a.generalisation;
    compare("disk.generalisation", same, json!(b.generalisation), json!(a.generalisation));
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::VersionId;
    use crate::domain::icon;
    use crate::domain::template::{DiskFormat, DiskSettings, Generalisation, RecoveryRule};
    use disk::format::Format;

    fn app(number: u128, version: u128, priority: Option<i64>) -> AppVersion {
        AppVersion {
            layer_id: LayerId::from_u128(number),
            layer: format!("App {number}"),
            version_id: VersionId::from_u128(version),
            version: version.to_string(),
            priority,
            layer_priority: 1,
        }
    }

    fn content() -> TemplateContent {
        TemplateContent {
            name: "Desk".to_owned(),
            description: String::new(),
            icon_id: icon::TEMPLATE,
            os: LayerVersion {
                layer_id: LayerId::from_u128(1),
                layer: "Windows".to_owned(),
                version_id: VersionId::from_u128(1),
                version: "1".to_owned(),
            },
            platform: None,
            apps: vec![app(2, 2, None), app(3, 3, None), app(4, 4, None)],
            configuration: None,
            disk: DiskSettings {
                bytes: None,
                format: DiskFormat(Format::Vhd),
                name: None,
                recovery: RecoveryRule::Refuse,
                generalisation: Generalisation::None,
            },
        }
    }

    #[test]
    fn what_only_got_another_name_is_the_same() {
        let mut after = content();
        after.os.layer = "Windows 11".to_owned();
        after.apps[0].version = "two".to_owned();
        after.apps[1].layer_priority = 9;
        assert_eq!(Comparison::of(&content(), &after), Comparison::default());
    }

    #[test]
    fn every_field_and_app_that_differs_is_said() {
        let mut after = content();
        after.disk.bytes = Some(1 << 40);
        after.os.version_id = VersionId::from_u128(9);
        after.apps = vec![app(2, 22, None), app(3, 3, Some(7)), app(5, 5, None)];
        let found = Comparison::of(&content(), &after);
        let fields: Vec<&str> = found.fields.iter().map(|change| change.field.as_str()).collect();
        assert_eq!(fields, ["os", "disk.bytes"]);
        assert_eq!((&found.fields[1].before, &found.fields[1].after), (&Value::Null, &json!(1_i64 << 40)));
        assert_eq!(found.apps_added, [app(5, 5, None)]);
        assert_eq!(found.apps_removed, [app(4, 4, None)]);
        let changed: Vec<(&str, Option<i64>)> =
            found.apps_changed.iter().map(|change| (change.layer.as_str(), change.after.priority)).collect();
        assert_eq!(changed, [("App 2", None), ("App 3", Some(7))]);
        let back = Comparison::of(&after, &content());
        assert_eq!((back.apps_added, back.apps_removed), (found.apps_removed, found.apps_added));
    }

    #[test]
    fn apps_are_in_the_order_in_which_they_win() {
        let mut content = content();
        content.apps[0].priority = Some(5);
        content.sort_apps();
        let order: Vec<&str> = content.apps.iter().map(|app| app.layer.as_str()).collect();
        assert_eq!(order, ["App 3", "App 4", "App 2"]);
    }
}
