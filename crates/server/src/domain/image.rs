//! What a published image was made of, and what differs between two.

use super::name;
use super::template::FieldChange;
use super::{LayerId, VersionId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

/// A layer version in an image, as it was when the image was made. Images that an older server published lack some of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImageLayer {
    /// Its reference then, such as `app:Office@2`.
    pub reference: String,
    /// The layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer_id: Option<LayerId>,
    /// The version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_id: Option<VersionId>,
    /// The version's digest in the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Of an app: the priority that counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i64>,
}

/// A layer that is in both images, but not with the same contents or priority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImageLayerChange {
    /// What it was in the first.
    pub before: ImageLayer,
    /// What it is in the second.
    pub after: ImageLayer,
}

/// What differs between two published images.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImageComparison {
    /// Settings that differ, and what they have led to, such as `disk_digest`.
    pub fields: Vec<FieldChange>,
    /// Layers that only the second has.
    pub layers_added: Vec<ImageLayer>,
    /// Layers that only the first has.
    pub layers_removed: Vec<ImageLayer>,
    /// Layers that are in both with another digest or another priority.
    pub layers_changed: Vec<ImageLayerChange>,
}

/// What of an image's provenance is compared besides its layers.
const COMPARED: [&str; 6] = ["engine", "bytes", "format", "recovery", "override_reason", "disk_digest"];

impl ImageLayer {
    /// Whether this is of the same layer as `other`, whatever it was called then.
    fn of_layer(&self, other: &ImageLayer) -> bool {
        match (self.layer_id, other.layer_id) {
            (Some(one), Some(another)) => one == another,
            _ => name::key(self.layer()) == name::key(other.layer()),
        }
    }

    /// The reference without its version.
    fn layer(&self) -> &str {
        self.reference.split_once('@').map_or(self.reference.as_str(), |(layer, _)| layer)
    }

    /// Whether it adds the same to an image.
    fn same(&self, other: &ImageLayer) -> bool {
        let contents = match (&self.digest, &other.digest) {
            (Some(one), Some(another)) => one == another,
            _ => self.version_id == other.version_id && self.reference == other.reference,
        };
        // What an older server has not written down is not known to differ.
        let priority = self.priority.zip(other.priority).is_none_or(|(one, another)| one == another);
        contents && priority
    }
}

/// The layers in a provenance; none in one that does not tell.
pub fn layers(provenance: &Value) -> Vec<ImageLayer> {
    provenance.get("layers").map(Vec::deserialize).and_then(Result::ok).unwrap_or_default()
}

impl ImageComparison {
    /// Compares two provenances.
    pub fn of(before: &Value, after: &Value) -> ImageComparison {
        let mut comparison = ImageComparison::default();
        for field in COMPARED {
            comparison.field(field, json!(before.get(field)), json!(after.get(field)));
        }
        let (were, are) = (layers(before), layers(after));
        for layer in &are {
            match were.iter().find(|was| was.of_layer(layer)) {
                None => comparison.layers_added.push(layer.clone()),
                Some(was) if !was.same(layer) => comparison
                    .layers_changed
                    .push(ImageLayerChange { before: was.clone(), after: layer.clone() }),
                Some(_) => {}
            }
        }
        comparison.layers_removed =
            were.into_iter().filter(|was| !are.iter().any(|layer| layer.of_layer(was))).collect();
        comparison
    }

    /// Adds a field, if it differs.
    pub fn field(&mut self, field: &str, before: Value, after: Value) {
        if before != after {
            self.fields.push(FieldChange { field: field.to_owned(), before, after });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(reference: &str, layer: Option<u128>, digest: &str) -> ImageLayer {
        ImageLayer {
            reference: reference.to_owned(),
            layer_id: layer.map(LayerId::from_u128),
            version_id: None,
            digest: Some(digest.to_owned()),
            priority: None,
        }
    }

    #[test]
    fn layers_are_the_same_by_their_digests_whatever_they_are_called() {
        let before = json!({ "layers": [layer("os:Windows@1", Some(1), "a"), layer("app:Office@1", None, "b"),
            layer("app:Gone@1", Some(4), "d")] });
        let after = json!({ "layers": [layer("os:Windows 11@one", Some(1), "a"),
            layer("app:office@2", Some(2), "c"), layer("app:New@1", Some(3), "d")] });
        let found = ImageComparison::of(&before, &after);
        assert_eq!(found.fields, []);
        let names =
            |layers: &[ImageLayer]| layers.iter().map(|layer| layer.reference.clone()).collect::<Vec<_>>();
        assert_eq!(names(&found.layers_added), ["app:New@1"]);
        assert_eq!(names(&found.layers_removed), ["app:Gone@1"]);
        let [changed] = found.layers_changed.as_slice() else { panic!("{found:?}") };
        assert_eq!(changed.before.reference, "app:Office@1");
        assert_eq!(changed.after.reference, "app:office@2");
    }

    #[test]
    fn priorities_and_settings_that_differ_are_said() {
        let mut one = layer("app:Office@1", Some(2), "b");
        one.priority = Some(1);
        let mut another = one.clone();
        another.priority = Some(2);
        let before = json!({ "layers": [one], "format": "vhd", "engine": "lamina 1", "disk_digest": "x" });
        let after =
            json!({ "layers": [another], "format": "vhdx", "engine": "lamina 1", "disk_digest": "y" });
        let found = ImageComparison::of(&before, &after);
        assert_eq!(found.layers_changed.len(), 1);
        let fields: Vec<&str> = found.fields.iter().map(|change| change.field.as_str()).collect();
        assert_eq!(fields, ["format", "disk_digest"]);
        // What an older server has published is compared as far as it tells.
        assert_eq!(ImageComparison::of(&json!({}), &json!({})), ImageComparison::default());
    }
}
