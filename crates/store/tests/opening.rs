//! Each reason why a store cannot be opened is told apart, and each says what to do.
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

use operation::Explain;
use std::fs;
use std::path::Path;
use store::encoding::Format;
use store::{Error, Maintenance, Store};

fn code(path: &Path) -> &'static str {
    let error = Store::open(path).err().expect("it cannot be opened");
    assert!(error.hint().is_some(), "{error}");
    assert!(error.to_string().contains(&*path.to_string_lossy()), "{error}");
    error.code()
}

#[test]
fn a_store_that_cannot_be_opened_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    assert_eq!(code(&path), "store-missing");
    fs::write(&path, "a file").unwrap();
    assert_eq!(code(&path), "store-not-a-store");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(code(&path), "store-not-a-store");
    drop(Store::init(&path).unwrap());
    let write = |format: Format| fs::write(path.join("lamina-store"), format.encode()).unwrap();
    write(Format { format: 0, ..Format::current() });
    assert_eq!(code(&path), "store-older");
    write(Format { format: 99, ..Format::current() });
    assert_eq!(code(&path), "store-newer");
    write(Format { required: vec!["encryption".into()], ..Format::current() });
    assert_eq!(code(&path), "store-unknown-feature");
    assert!(Store::open(&path).err().unwrap().to_string().contains("encryption"));
    fs::write(path.join("lamina-store"), "{}").unwrap();
    assert_eq!(code(&path), "store-corrupt");
    write(Format { optional: vec!["nice-to-have".into()], ..Format::current() });
    Store::open(&path).unwrap();
}

#[test]
fn maintenance_keeps_everybody_out_and_waits_for_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::init(directory.path()).unwrap();
    assert!(matches!(Maintenance::lock(directory.path()), Err(Error::InUse { .. })));
    let second = Store::open(directory.path()).unwrap();
    drop(store);
    assert!(matches!(Maintenance::lock(directory.path()), Err(Error::InUse { .. })));
    drop(second);
    let maintenance = Maintenance::lock(directory.path()).unwrap();
    assert_eq!(code(directory.path()), "store-locked");
    drop(maintenance);
    Store::open(directory.path()).unwrap();
}

#[test]
fn a_store_is_made_only_where_nothing_is_but_an_interrupted_beginning() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a/b/store");
    drop(Store::init(&path).unwrap());
    assert!(matches!(Store::init(&path), Err(Error::Occupied { .. })));
    fs::remove_file(path.join("lamina-store")).unwrap();
    drop(Store::init(&path).unwrap());
    fs::remove_file(path.join("lamina-store")).unwrap();
    fs::write(path.join("holiday.jpg"), "").unwrap();
    assert!(matches!(Store::init(&path), Err(Error::Occupied { why, .. }) if why.contains("holiday.jpg")));
}
