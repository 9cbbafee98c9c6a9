//! Promises about what a connector says of itself and of its platform.

use super::{Fixture, code, key, local, name};
use crate::connector::{Browse, Connector, EntryKind, Listing, MachineState, Outcome, Removal, Shipment};
use crate::description::Purpose;
use crate::watch::Watch;
use disk::format::Format;
use operation::Explain;
use std::collections::BTreeSet;

/// What is declared works, and what is not declared is refused.
pub async fn capabilities_tell_the_truth(fixture: &dyn Fixture) {
    let connector = fixture.connector();
    let capabilities = connector.capabilities().clone();
    assert!(!capabilities.formats.is_empty(), "a connector that does nothing is none");
    for purpose in [Purpose::Package, Purpose::Publish] {
        for format in Format::ALL {
            let shipment = Shipment { purpose, name: name("a.disk"), format };
            let outcome = connector.placement(&key("task-1"), &shipment).await;
            if capabilities.takes(purpose, format) {
                outcome.expect("a declared format is taken");
                connector.withdraw(&key("task-1"), &shipment).await.expect("undone");
            } else {
                assert_eq!(code(outcome), "connector-unsupported");
            }
        }
    }
    let import = Shipment { purpose: Purpose::Import, name: name("a.disk"), format: Format::Raw };
    assert_eq!(code(connector.placement(&key("task-1"), &import).await), "connector-unsupported");
    let file = local(b"x");
    let delivered = connector.deliver(&key("task-1"), &import, file.path(), &Watch::silent()).await;
    assert_eq!(code(delivered), "connector-unsupported");
    for what in &capabilities.browses {
        list(&*connector, what, "", None, 10).await.expect("what is declared can be listed");
    }
    assert_eq!(code(list(&*connector, "unicorns", "", None, 10).await), "connector-unsupported");
    assert_eq!(fixture.names().await, BTreeSet::new());
}

/// The two buttons of a form.
pub async fn good_credentials_pass_and_trying_leaves_nothing_behind(fixture: &dyn Fixture) {
    let connector = fixture.connector();
    connector.check_credentials().await.expect("good credentials are good");
    let trials = connector.test().await;
    assert!(trials.len() > 1 && trials.iter().all(|trial| trial.outcome == Outcome::Passed), "{trials:?}");
    assert_eq!(fixture.names().await, BTreeSet::new());
}

/// A wrong password is told apart from everything else, in each operation.
pub async fn a_wrong_password_has_its_own_code(fixture: &dyn Fixture) {
    let Some(connector) = fixture.with_wrong_password() else { return };
    const REFUSED: &str = "connector-credentials-refused";
    let error = connector.check_credentials().await.expect_err("the password is wrong");
    assert_eq!(error.code(), REFUSED);
    assert!(error.hint().is_some() && !error.is_transient(), "{error}");
    assert_eq!(code(connector.locate(&name("a.raw")).await), REFUSED);
    let trials = connector.test().await;
    assert_eq!(trials[0].outcome, Outcome::Failed, "{trials:?}");
    assert!(trials[0].hint.is_some() && trials[1..].iter().all(|trial| trial.outcome == Outcome::Skipped));
}

/// A share that is gone is told apart from an empty one.
pub async fn a_place_that_vanished_has_its_own_code(fixture: &dyn Fixture) {
    let connector = fixture.connector();
    fixture.put("a.raw", b"x").await;
    fixture.vanish().await;
    const GONE: &str = "share-not-found";
    let error = connector.check_credentials().await.expect_err("it is gone");
    assert_eq!(error.code(), GONE, "{error}");
    assert!(error.hint().is_some());
    assert_eq!(code(connector.locate(&name("a.raw")).await), GONE);
    assert_eq!(code(list(&*connector, "disks", "", None, 10).await), GONE);
    let shipment = super::shipment("b.raw");
    let file = local(b"x");
    let delivered = connector.deliver(&key("task-1"), &shipment, file.path(), &Watch::silent()).await;
    assert_eq!(code(delivered), GONE);
    assert_eq!(connector.test().await[0].outcome, Outcome::Failed);
}

/// Pages are bounded, in order, complete, and hold only what can be chosen.
pub async fn listing_goes_page_by_page_and_shows_no_hidden_names(fixture: &dyn Fixture) {
    let connector = fixture.connector();
    let mut expected = Vec::new();
    for number in 0..25 {
        let name = format!("disk-{number:02}.raw");
        fixture.put(&name, &vec![1; number]).await;
        expected.push((name, number as u64));
    }
    fixture.put(".hidden", b"x").await;
    fixture.put("other.raw", b"x").await;
    let mut seen = Vec::new();
    let mut after = None;
    for page in 0.. {
        assert!(page < 4, "the pages do not end");
        let listing = list(&*connector, "disks", "DISK-", after, 10).await.expect("listed");
        assert!(listing.entries.len() <= 10);
        seen.extend(listing.entries);
        after = listing.next;
        if after.is_none() {
            break;
        }
    }
    let found: Vec<(String, u64)> =
        seen.iter().map(|entry| (entry.value.clone(), entry.bytes.unwrap_or(u64::MAX))).collect();
    assert_eq!(found, expected);
    assert!(seen.iter().all(|entry| entry.kind == EntryKind::Item && entry.title == entry.value));
    let all = list(&*connector, "disks", "", None, usize::MAX).await.expect("listed");
    let titles: Vec<&str> = all.entries.iter().map(|entry| entry.title.as_str()).collect();
    assert_eq!((titles.len(), titles.last()), (26, Some(&"other.raw")), "{titles:?}");
    let lost = Browse { folder: Some(name("no/such")), ..browse("disks", "", None, 10) };
    assert_eq!(code(connector.browse(&lost).await), "share-not-found");
}

/// A connector knows machines, or says that it does not.
pub async fn machines_are_managed_or_said_not_to_be(fixture: &dyn Fixture) {
    let connector = fixture.connector();
    let disk = name("a.raw");
    let (state, removal) = if connector.capabilities().manages_machines {
        (MachineState::Absent, Removal::WasGone)
    } else {
        (MachineState::NotManaged, Removal::NotManaged)
    };
    assert_eq!(connector.machine_state(&disk).await.expect("an answer"), state);
    assert_eq!(connector.delete_machine(&disk).await.expect("nothing to delete"), removal);
}

fn browse(what: &str, prefix: &str, after: Option<String>, limit: usize) -> Browse {
    Browse { what: what.to_owned(), folder: None, prefix: prefix.to_owned(), after, limit }
}

async fn list(
    connector: &dyn Connector,
    what: &str,
    prefix: &str,
    after: Option<String>,
    limit: usize,
) -> crate::Result<Listing> {
    connector.browse(&browse(what, prefix, after, limit)).await
}
