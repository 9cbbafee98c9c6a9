//! What the scanner makes of volumes whose contents are known, because the test put them there.

#![allow(clippy::unwrap_used)] // a test fails by panicking

mod scan_support;

use ntfs_volume::scan::scan;
use operation::Silent;
use scan_support::opinion::{contents, dissect_opinion, ntfs_crate_opinion};
use scan_support::surgery::{record_of, sample};
use scan_support::{Volume, formatted, populate, skipped};
use std::sync::Arc;
use volume::{FileId, Kind, Name, Node, Property, Security, StreamData, Tree};

fn node<'t>(tree: &'t Tree, path: &str) -> &'t Node {
    tree.node(FileId(record_of(tree, path))).unwrap()
}

#[test]
fn everything_that_was_put_there_comes_back() {
    let test = "everything_that_was_put_there_comes_back";
    let Some(volume) = sample(test) else { return };
    let tree = scan(&volume, &Silent).unwrap();

    let long = node(&tree, "a long name.txt");
    assert_eq!(long.links[0].short, Some(Name::from("ALONGN~1.TXT")));
    assert_eq!(long.links.len(), 1, "the short name is no link of its own");

    let many = node(&tree, "many");
    assert_eq!(many.links.len(), 52, "names in extension records are found through the attribute list");

    let streams: Vec<_> =
        node(&tree, "streams.txt").streams.iter().map(|s| (s.name.to_string(), s.size)).collect();
    assert_eq!(streams, [(String::new(), 5), ("large".into(), 100_000), ("small".into(), 4)]);

    let point = &node(&tree, "point").metadata.properties;
    let value = [0x1b, 0, 0, 0x80, 8, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    assert_eq!(point[..], [Property::Reparse(value.into())]);
    let identified = &node(&tree, "identified").metadata.properties;
    assert!(
        matches!(&identified[..], [Property::ObjectId(id)] if id[..16] == (0..16).collect::<Vec<u8>>()[..])
    );

    let text = &node(&tree, "comp/text").streams[0];
    assert!(text.flags.compressed && text.flags.unit_shift == 4 && text.size == 200_000);
    let StreamData::Runs(runs) = &text.data else { panic!("it is not resident") };
    assert!(runs.iter().filter(|run| run.at.is_some()).map(|run| run.len).sum::<u64>() < 100_000);

    let sparse = &node(&tree, "sparse").streams[0];
    let StreamData::Runs(runs) = &sparse.data else { panic!("it is not resident") };
    assert!(sparse.flags.sparse && runs[0].at.is_none(), "{sparse:?}");
    assert!(matches!(&node(&tree, "empty").streams[..], [empty] if empty.size == 0));

    assert_eq!(
        node(&tree, "dated").metadata.times.modified,
        126_256_467_060_000_000,
        "2001-02-03 04:05:06 UTC"
    );
    assert_eq!(node(&tree, "dir").kind, Kind::Directory);
    assert_eq!(tree.children(node(&tree, "dir").id).len(), 200);
    assert!(
        tree.lookup(&[Name::from("DIR"), Name::from("FILE NUMBER 100.TXT")]).is_some(),
        "case does not matter"
    );
    assert!(tree.lookup(&[Name::from("beyond the BMP 😀")]).is_some());
    assert!(
        tree.nodes().all(|node| node.id.0 == 5 || node.id.0 >= 24),
        "the volume's own files are left out"
    );

    let owner = |path: &str| match &node(&tree, path).metadata.security {
        Security::Descriptor(bytes) => Arc::clone(bytes),
        other => panic!("{path}: {other:?}"),
    };
    assert!(Arc::ptr_eq(&owner("big"), &owner("other")), "equal descriptors are one in memory");
}

#[test]
fn other_readers_see_the_same_on_volumes_with_small_and_large_clusters() {
    let test = "other_readers_see_the_same_on_volumes_with_small_and_large_clusters";
    let fill = r#"mkdir d; for i in $(seq 300); do head -c $((i * 37)) /dev/urandom > "d/f$i"; done
        head -c 3000000 /dev/urandom > big; truncate -s 5M hole; echo x >> hole; echo s > f; echo t > f:stream
        for i in $(seq 40); do ln f "d/a rather long name for a hard link $i"; done; rm d/f1*
        mkdir c; setfattr -n system.ntfs_attrib_be -v 0x00000810 c || true
        yes 'what repeats is small' | head -c 300000 > c/text; head -c 70000 /dev/urandom > c/noise
        head -c 1000000 /dev/zero > c/zeros"#;
    for cluster in [512, 4096, 65536, 2 << 20] {
        let folder = tempfile::tempdir().unwrap();
        let mib = if cluster > 65536 { 1500 } else { 40 };
        let made = formatted(folder.path(), mib, &format!("-c {cluster}")).and_then(|path| {
            populate(&path, fill)?;
            Ok(path)
        });
        let path = match made {
            Ok(path) => path,
            Err(reason) => {
                skipped(test, &format!("clusters of {cluster} bytes: {reason}"));
                continue;
            }
        };
        let mut volume = Volume::open(&path, 0);
        volume.len = volume.len.min(std::fs::metadata(&path).unwrap().len());
        let ours = contents(&volume, &scan(&volume, &Silent).unwrap());
        let report = ntfs_volume::check::check(&volume, &Silent).unwrap();
        assert!(report.is_clean(), "clusters of {cluster} bytes: {:#?}", report.findings);
        // Where clusters are larger than index blocks, version 0.4 of the crate does not find the blocks.
        let mut others = if cluster <= 4096 { vec![ntfs_crate_opinion(&volume)] } else { Vec::new() };
        match dissect_opinion(&volume) {
            Ok(opinion) => others.push(opinion),
            Err(reason) => skipped(test, &reason),
        }
        assert!(!ours.keys().any(|path| path.starts_with("/d/f1")), "what was removed is not there");
        for mut theirs in others {
            // dissect also lists what is left in index blocks that went out of use.
            theirs.retain(|path, _| !path.starts_with("/d/f1"));
            assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
            for (path, entry) in &theirs {
                for (name, stream) in entry.streams.as_ref().unwrap() {
                    let own = &ours[path].streams.as_ref().unwrap()[name];
                    assert_eq!(own.size, stream.size, "{path}:{name}");
                    assert!(stream.checksum.is_none() || stream.checksum == own.checksum, "{path}:{name}");
                }
            }
        }
    }
}
