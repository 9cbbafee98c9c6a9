//! Promises about disks that go out.

use super::{Fixture, Meter, code, key, large_disk, local, name, shipment, small_disk};
use crate::connector::{Connector, Delivered, Placement, Removal, Shipment};
use crate::watch::Watch;
use std::collections::BTreeSet;

/// What the server does: ask where to write, write there, deliver.
async fn write_and_deliver(
    connector: &dyn Connector,
    task: &str,
    shipment: &Shipment,
    bytes: &[u8],
) -> crate::Result<Delivered> {
    let scratch = local(bytes);
    let path = match connector.placement(&key(task), shipment).await? {
        Placement::Here(path) => {
            std::fs::write(&path, bytes).expect("the place that was given can be written");
            path
        }
        Placement::Scratch => scratch.path().to_owned(),
    };
    connector.deliver(&key(task), shipment, &path, &Watch::silent()).await
}

fn only(text: &str) -> BTreeSet<String> {
    BTreeSet::from([text.to_owned()])
}

/// Contents arrive as they were sent, by whatever way, and the result says where.
pub async fn what_was_delivered_has_the_same_bytes(fixture: &dyn Fixture) {
    let connector = fixture.connector();
    let bytes = small_disk();
    let delivered =
        write_and_deliver(&*connector, "task-1", &shipment("a.raw"), &bytes).await.expect("delivered");
    assert!(fixture.read("a.raw").await.expect("it is there") == bytes);
    assert!(delivered.location.text.contains("a.raw"), "{delivered:?}");
    assert!(delivered.description.contains(&delivered.location.text), "{delivered:?}");
    assert!(delivered.next_action.is_some(), "a packaging disk waits for a person");
    // From a file elsewhere, also where the engine may write in place.
    let (meter, watch) = Meter::watch(u64::MAX);
    let file = local(&bytes);
    connector.deliver(&key("task-2"), &shipment("b.raw"), file.path(), &watch).await.expect("delivered");
    assert!(fixture.read("b.raw").await.expect("it is there") == bytes);
    assert_eq!(meter.done(), bytes.len() as u64, "progress adds up to the length of the file");
    assert!(file.path().exists(), "the file to deliver is left alone");
}

/// A step that is repeated answers the same and changes nothing.
pub async fn delivering_twice_is_delivering_once(fixture: &dyn Fixture) {
    let connector = fixture.connector();
    let (shipment, bytes) = (shipment("a.raw"), small_disk());
    let first = write_and_deliver(&*connector, "task-1", &shipment, &bytes).await.expect("delivered");
    let before = fixture.names().await;
    let file = local(&bytes);
    let again = connector.deliver(&key("task-1"), &shipment, file.path(), &Watch::silent()).await;
    assert_eq!(again.expect("delivered again"), first);
    let all = write_and_deliver(&*connector, "task-1", &shipment, &bytes).await.expect("all of it again");
    assert_eq!(all, first);
    assert_eq!(fixture.names().await, before);
    assert!(fixture.read("a.raw").await.expect("it is there") == bytes);
}

/// The undo removes all, at whatever point of the way, and may run twice.
pub async fn undoing_leaves_nothing_and_can_be_repeated(fixture: &dyn Fixture) {
    let connector = fixture.connector();
    let (task, shipment) = (key("task-1"), shipment("a.raw"));
    let nothing = BTreeSet::new();
    assert_eq!(connector.withdraw(&task, &shipment).await.expect("nothing to undo"), Removal::WasGone);
    connector.placement(&task, &shipment).await.expect("a place");
    connector.withdraw(&task, &shipment).await.expect("undone");
    assert_eq!(fixture.names().await, nothing, "after a placement");
    write_and_deliver(&*connector, "task-1", &shipment, &small_disk()).await.expect("delivered");
    assert_eq!(connector.withdraw(&task, &shipment).await.expect("undone"), Removal::Removed);
    assert_eq!(fixture.names().await, nothing, "after a delivery");
    assert_eq!(connector.withdraw(&task, &shipment).await.expect("undone twice"), Removal::WasGone);
    write_and_deliver(&*connector, "task-1", &shipment, &small_disk()).await.expect("the name is free again");
}

/// After the last step nothing is on the platform but what was delivered.
pub async fn concluding_leaves_only_the_disk(fixture: &dyn Fixture) {
    let connector = fixture.connector();
    write_and_deliver(&*connector, "task-1", &shipment("a.raw"), &small_disk()).await.expect("delivered");
    for _ in 0..2 {
        connector.conclude(&key("task-1")).await.expect("concluded");
        assert_eq!(fixture.names().await, only("a.raw"));
    }
}

/// A name that is taken is refused before and at delivery, and undoing does not touch what has it.
pub async fn a_file_of_somebody_else_is_never_overwritten(fixture: &dyn Fixture) {
    let connector = fixture.connector();
    fixture.put("a.raw", b"precious").await;
    let (task, shipment, file) = (key("task-1"), shipment("a.raw"), local(&small_disk()));
    assert_eq!(code(connector.placement(&task, &shipment).await), "disk-name-taken");
    let delivered = connector.deliver(&task, &shipment, file.path(), &Watch::silent()).await;
    assert_eq!(code(delivered), "disk-name-taken");
    connector.withdraw(&task, &shipment).await.expect("undone");
    assert_eq!(fixture.read("a.raw").await.expect("it stays"), b"precious");
    assert_eq!(fixture.names().await, only("a.raw"));
    // What another task delivered is somebody else's, too.
    write_and_deliver(&*connector, "task-2", &super::shipment("b.raw"), &small_disk())
        .await
        .expect("delivered");
    let other =
        connector.deliver(&key("task-3"), &super::shipment("b.raw"), file.path(), &Watch::silent()).await;
    assert_eq!(code(other), "disk-name-taken");
    connector.withdraw(&key("task-3"), &super::shipment("b.raw")).await.expect("undone");
    assert!(fixture.read("b.raw").await.is_some());
}

/// A person may have put another file in the place of the delivered one.
pub async fn a_disk_that_somebody_replaced_survives_undoing(fixture: &dyn Fixture) {
    let connector = fixture.connector();
    write_and_deliver(&*connector, "task-1", &shipment("a.raw"), &small_disk()).await.expect("delivered");
    fixture.put("a.raw", b"another").await;
    let removal = connector.withdraw(&key("task-1"), &shipment("a.raw")).await.expect("undone");
    assert!(matches!(&removal, Removal::Left(reason) if reason.contains("a.raw")), "{removal:?}");
    assert_eq!(fixture.names().await, only("a.raw"));
    assert_eq!(fixture.read("a.raw").await.expect("it stays"), b"another");
}

/// Folders are not made; that they lack is found out before hours of writing.
pub async fn a_folder_that_does_not_exist_is_said_before_anything_is_written(fixture: &dyn Fixture) {
    let outcome = fixture.connector().placement(&key("task-1"), &shipment("no/such/a.raw")).await;
    assert_eq!(code(outcome), "share-not-found");
    assert_eq!(fixture.names().await, BTreeSet::new());
}

/// What a person sees is complete or not there, and an interrupted copy is not begun anew.
pub async fn a_delivery_cancelled_in_the_middle_shows_no_disk_and_goes_on_later(fixture: &dyn Fixture) {
    let connector = fixture.connector();
    let bytes = large_disk();
    let (task, shipment, file) = (key("task-1"), shipment("a.raw"), local(&bytes));
    let (_, watch) = Meter::watch(70 << 20);
    assert_eq!(code(connector.deliver(&task, &shipment, file.path(), &watch).await), "cancelled");
    assert!(fixture.read("a.raw").await.is_none());
    let (meter, watch) = Meter::watch(u64::MAX);
    connector.deliver(&task, &shipment, file.path(), &watch).await.expect("it goes on");
    assert!(meter.first() >= 60 << 20, "only {} bytes were kept", meter.first());
    assert_eq!(meter.done(), bytes.len() as u64);
    assert!(fixture.read("a.raw").await.expect("it is there") == bytes);
    let (_, watch) = Meter::watch(10 << 20);
    let other = super::shipment("b.raw");
    assert_eq!(code(connector.deliver(&key("task-2"), &other, file.path(), &watch).await), "cancelled");
    connector.withdraw(&key("task-2"), &other).await.expect("undone");
    connector.conclude(&task).await.expect("concluded");
    assert_eq!(fixture.names().await, only("a.raw"));
}

/// Half of one file and half of another would be neither.
pub async fn a_changed_source_begins_anew(fixture: &dyn Fixture) {
    let connector = fixture.connector();
    let (task, shipment) = (key("task-1"), shipment("a.raw"));
    let first = local(&large_disk());
    let (_, watch) = Meter::watch(70 << 20);
    assert_eq!(code(connector.deliver(&task, &shipment, first.path(), &watch).await), "cancelled");
    let bytes = small_disk();
    let second = local(&bytes);
    connector.deliver(&task, &shipment, second.path(), &Watch::silent()).await.expect("delivered");
    assert!(fixture.read("a.raw").await.expect("it is there") == bytes);
}

/// Names arrive as data; a hostile one is refused while it is read, and one of the connector's own is, too.
pub async fn hostile_names_do_not_become_shipments(fixture: &dyn Fixture) {
    for hostile in
        ["../a.raw", "/etc/passwd", "a\\..\\b", ".lamina-task-1/disk", "nul", "a.raw:stream", "a\0b"]
    {
        let text = serde_json::json!({"purpose": "package", "name": hostile, "format": "raw"}).to_string();
        let refused = serde_json::from_str::<Shipment>(&text).expect_err(hostile);
        assert!(refused.to_string().contains("cannot be the name of a disk"), "{refused}");
    }
    let good = serde_json::to_string(&shipment("folder/a.raw")).expect("a shipment can be written");
    let read: Shipment = serde_json::from_str(&good).expect("and read");
    assert_eq!(read.name, name("folder/a.raw"));
    assert_eq!(fixture.names().await, BTreeSet::new());
}
