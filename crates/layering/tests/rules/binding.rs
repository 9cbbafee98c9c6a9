//! Names, references, binding to one OS layer, version order, sizes, deleting.

use crate::bench::*;
use layering::reference::LayerKind;
use layering::report::CompositeSpec;
use operation::Silent;

/// Two OS layers with an app layer each.
fn two_systems(lab: &Lab) {
    for (os, app) in [("Ten@1", "Old@1"), ("Eleven@1", "New@1")] {
        lab.os(os, |_| {});
        lab.app(&on(os), app, |disk| {
            disk.file("\\app.txt", app);
        });
    }
}

#[test]
fn layers_from_different_os_layers_are_refused_saying_which() {
    let lab = lab!();
    two_systems(&lab);
    lab.packaging_platform(&on("Ten"), "Tools@1", |_| {});
    let spec = on("Eleven").with("New").with("Old");
    let request = lab.compose_request(&spec, "desk");
    for message in [
        refused(lab.engine.compose(&request, &Silent), "other-os-layer"),
        refused(lab.engine.conflicts(&spec.0, &Silent), "other-os-layer"),
        refused(lab.try_package(&spec), "other-os-layer"),
        refused(lab.try_package(&on("Eleven").base("Old")), "other-os-layer"),
    ] {
        assert!(
            message.contains("app:Old@1") && message.contains("Ten") && message.contains("Eleven"),
            "{message}"
        );
    }
    let message = refused(lab.try_package(&on("Eleven").platform("Tools")), "other-os-layer");
    assert!(message.contains("platform:Tools@1"), "{message}");
}

#[test]
fn a_layer_stays_with_the_os_layer_of_its_first_version() {
    let lab = lab!();
    two_systems(&lab);
    let disk = lab.package(&on("Eleven"));
    refused(lab.try_capture(&on("Eleven"), LayerKind::App, "Old@2", &disk), "other-os-layer");
    lab.capture(&on("Eleven"), LayerKind::App, "New@2", &disk);
}

#[test]
fn a_layer_cannot_be_in_a_composite_twice() {
    let lab = lab!();
    two_systems(&lab);
    lab.app(&on("Ten").base("Old"), "Old@2", |disk| {
        disk.file("\\app.txt", "2");
    });
    refused(lab.try_package(&on("Ten").with("Old@1").with("OLD@2")), "layer-twice");
    refused(lab.try_package(&on("Ten").with("Old@1").base("Old@2")), "layer-twice");
}

#[test]
fn a_reference_has_to_lead_to_the_kind_that_is_needed() {
    let lab = lab!();
    two_systems(&lab);
    lab.packaging_platform(&on("Ten"), "Tools@1", |_| {});
    refused(lab.try_package(&on("app:Old")), "reference-kind");
    refused(lab.try_package(&on("Ten").with("platform:Tools")), "reference-kind");
    refused(lab.try_package(&on("Ten").platform("app:Old")), "reference-kind");
    refused(lab.try_package(&on("Ten").base("os:Ten")), "reference-kind");
    refused(lab.try_package(&on("Nine")), "not-found");
    refused(lab.try_package(&on("Ten@9")), "not-found");
    let disk = lab.package(&on("Ten"));
    // The base has to be a version of the very layer.
    refused(lab.try_capture(&on("Ten").base("app:Old"), LayerKind::App, "Other@1", &disk), "other-layer");
    refused(lab.try_capture(&on("Ten").base("Ten"), LayerKind::Os, "Ten@2", &disk), "not-applicable");
    refused(lab.try_capture(&on("Ten").with("Old"), LayerKind::Os, "Ten@2", &disk), "not-applicable");
    refused(lab.try_capture(&on("Ten"), LayerKind::Os, "Other@2", &disk), "other-layer");
    let request = lab.compose_request(&on("Ten").base("Old"), "desk");
    refused(lab.engine.compose(&request, &Silent), "not-applicable");
}

#[test]
fn the_prefix_is_required_when_a_name_is_ambiguous() {
    let lab = lab!();
    lab.os("Office@1", |_| {});
    lab.app(&on("Office"), "Office@1", |disk| {
        disk.file("\\a", "1");
    });
    let message = refused(lab.engine.show("Office", &Silent), "reference-ambiguous");
    assert!(message.contains("OS layer") && message.contains("app layer"), "{message}");
    lab.engine.show("app:office", &Silent).unwrap();
    lab.engine.show("os:OFFICE@1", &Silent).unwrap();
}

#[test]
fn names_are_unique_per_kind_without_regard_to_case_and_versions_per_layer() {
    let lab = lab!();
    let disk = lab.os("Windows 11@24H2", |_| {});
    for same in ["Windows 11@24H2", "WINDOWS 11@24h2", "  Windows 11 @ 24H2 "] {
        refused(lab.try_import(same, &disk), "exists");
    }
    lab.import("windows 11@25H2", &disk);
    lab.import("Windows 10@24H2", &disk);
    lab.compose(&on("Windows 10"));
    let request = lab.compose_request(&on("Windows 10"), "IMAGE 3");
    lab.engine.compose(&request, &Silent).unwrap();
    let request = lab.compose_request(&on("Windows 10"), "Image 3");
    refused(lab.engine.compose(&request, &Silent), "exists");
}

#[test]
fn names_that_references_could_not_hold_are_refused_before_anything_is_read() {
    let lab = lab!();
    let disk = Disk { path: "/does/not/exist".into() };
    for bad in ["", "  ", "a/b", "a\\b", "a:b", "a\u{7}b", &"x".repeat(101)] {
        let mut request = layering::request::ImportRequest {
            disk: disk.path.clone(),
            name: bad.to_owned(),
            version: "1".to_owned(),
            volume: None,
            max_size: None,
            allow_backing: false,
            override_reason: None,
        };
        refused(lab.engine.import(&request, &Silent), "name-invalid");
        std::mem::swap(&mut request.name, &mut request.version);
        refused(lab.engine.import(&request, &Silent), "name-invalid");
    }
    assert_eq!(lab.list().len(), 0);
}

#[test]
fn version_order_is_a_numeric_sequence_and_never_text_order() {
    let lab = lab!();
    let disk = lab.disk();
    for version in ["9", "10", "2", "Ω", "a"] {
        lab.import(&format!("Windows@{version}"), &disk);
    }
    let entries = lab.engine.list().unwrap().entries;
    let versions: Vec<_> =
        entries.iter().map(|entry| (entry.sequence, entry.version.clone().unwrap().to_string())).collect();
    let expected: Vec<_> =
        ["9", "10", "2", "Ω", "a"].iter().zip(1..).map(|(text, n)| (n, (*text).to_owned())).collect();
    assert_eq!(versions, expected);
    // A reference without version is the one made last.
    assert_eq!(lab.engine.show("Windows", &Silent).unwrap().summary.version.unwrap().to_string(), "a");
    // A removed version's number is not given again while a later one is there.
    lab.engine.remove("Windows@2").unwrap();
    lab.import("Windows@z", &disk);
    assert_eq!(lab.engine.show("Windows@z", &Silent).unwrap().summary.sequence, 6);
}

#[test]
fn what_a_version_adds_may_not_exceed_its_maximum() {
    let lab = lab!();
    let disk = lab.disk();
    disk.edit(|volume| {
        volume.file("\\shared.bin", noise(3 << 20, 1));
    });
    let mut request = lab.import_request("Windows@1", &disk);
    request.max_size = Some(MIB);
    let message = refused(lab.engine.import(&request, &Silent), "layer-too-large");
    assert!(message.contains("os:Windows@1") && message.contains("1048576"), "{message}");
    lab.import("Windows@1", &disk);
    // What lies below is not counted, and neither is what was only moved.
    let packaging = lab.package(&on("Windows"));
    packaging.edit(|volume| {
        volume.rename("\\shared.bin", "\\moved.bin").file("\\new.bin", noise(2 << 20, 2));
    });
    let mut request = lab.capture_request(&on("Windows"), LayerKind::App, "A@1", &packaging);
    request.version.max_size = Some(2 * MIB - 1);
    refused(lab.engine.capture(&request, &Silent), "layer-too-large");
    assert_eq!(lab.list().len(), 1, "nothing is left of what was refused");
    request.version.max_size = Some(2 * MIB);
    let report = lab.engine.capture(&request, &Silent).unwrap();
    assert_eq!(report.version.size, 2 * MIB);
    let mut request = lab.capture_request(&on("Windows"), LayerKind::Os, "Windows@2", &packaging);
    request.version.max_size = Some(MIB);
    refused(lab.engine.capture(&request, &Silent), "layer-too-large");
    // Nor does it become smaller by what the first try left in the store.
    refused(lab.engine.capture(&request, &Silent), "layer-too-large");
}

#[test]
fn the_only_version_of_an_os_layer_that_layers_belong_to_cannot_be_removed() {
    let lab = lab!();
    let disk = lab.os("Windows@1", |_| {});
    lab.app(&on("Windows"), "A@1", |_| {});
    lab.platform(&on("Windows"), "P@1", |_| {});
    let message = refused(lab.engine.remove("os:Windows@1"), "in-use");
    assert!(message.contains("app:A@1") && message.contains("platform:P@1"), "{message}");
    lab.import("Windows@2", &disk);
    lab.engine.remove("os:Windows@1").unwrap();
    refused(lab.engine.remove("os:Windows"), "in-use");
    lab.engine.remove("A").unwrap();
    lab.engine.remove("P").unwrap();
    lab.engine.remove("os:Windows").unwrap();
    assert_eq!(lab.list().len(), 0);
}

#[test]
fn a_published_image_stands_alone_after_its_layers_are_removed() {
    let lab = lab!();
    lab.os("Windows@1", |disk| {
        disk.file("\\os.bin", noise(200_000, 1));
    });
    lab.app(&on("Windows"), "A@1", |disk| {
        disk.file("\\a.bin", noise(200_000, 2));
    });
    let request = lab.compose_request(&on("Windows").with("A"), "desk");
    let report = lab.engine.compose(&request, &Silent).unwrap();
    lab.engine.remove("app:A").unwrap();
    lab.engine.remove("os:Windows").unwrap();
    lab.engine.gc(false, &Silent).unwrap();
    lab.assert_sound();
    let image = lab.export("desk", report);
    assert_eq!(image.bytes("\\a.bin"), noise(200_000, 2));
    assert_eq!(image.bytes("\\os.bin"), noise(200_000, 1));
}

#[test]
fn an_override_is_recorded_in_the_version() {
    let lab = lab!();
    lab.os("Windows@1", |_| {});
    let disk = lab.package(&on("Windows"));
    let mut request = lab.capture_request(&on("Windows"), LayerKind::App, "A@1", &disk);
    request.override_reason = Some("tested by hand".to_owned());
    request.trust_metadata = true;
    lab.engine.capture(&request, &Silent).unwrap();
    let details = lab.engine.show("app:A", &Silent).unwrap().details;
    assert_eq!(details["captured"]["override_reason"], "tested by hand");
    assert_eq!(details["captured"]["trust_metadata"], true);
}

#[test]
fn an_empty_composite_spec_is_an_os_alone() {
    let spec: CompositeSpec = serde_json::from_str(r#"{"os": "Windows"}"#).unwrap();
    assert!(spec.layers.is_empty() && spec.base.is_none() && spec.platform.is_none());
}
