//! The extent map against a plain array, and its speed.

use disk::{ExtentMap, Segment, SourceId, SourceRange};
use proptest::prelude::*;
use std::time::{Duration, Instant};

const LEN: u64 = 400;

#[derive(Debug, Clone)]
enum Step {
    Splice { offset: u64, len: u64, source: u32, from: u64 },
    Discard { offset: u64, len: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let range = (0..LEN, 0u64..60).prop_map(|(offset, len)| (offset, len.min(LEN - offset)));
    prop_oneof![
        // places in few sources that often continue each other
        3 => (range.clone(), 0u32..2, prop_oneof![Just(0u64), 0u64..20]).prop_map(
            |((offset, len), source, shift)| Step::Splice { offset, len, source, from: offset + shift }
        ),
        1 => range.prop_map(|(offset, len)| Step::Discard { offset, len }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn maps_every_byte_as_an_array_does(
        steps in prop::collection::vec(step(), 0..80),
        window in (0..LEN, 0..LEN),
    ) {
        let mut map = ExtentMap::new(LEN);
        let mut model: Vec<Option<(u32, u64)>> = vec![None; LEN as usize];
        for step in &steps {
            match *step {
                Step::Splice { offset, len, source, from } => {
                    map.splice(offset, len, SourceRange { source: SourceId(source), offset: from }).unwrap();
                    for i in 0..len {
                        model[(offset + i) as usize] = Some((source, from + i));
                    }
                }
                Step::Discard { offset, len } => {
                    map.discard(offset, len).unwrap();
                    model[offset as usize..(offset + len) as usize].fill(None);
                }
            }
        }
        let target = |segment: &Segment, i: u64| segment.target.map(|t| (t.source.0, t.offset + i));
        let (start, end) = (window.0.min(window.1), window.0.max(window.1));
        for range in [0..LEN, start..end] {
            let mut at = range.start;
            for segment in map.segments(range.clone()) {
                prop_assert_eq!(segment.offset, at);
                prop_assert!(segment.len > 0);
                for i in 0..segment.len {
                    prop_assert_eq!(target(&segment, i), model[(at + i) as usize]);
                }
                at += segment.len;
            }
            prop_assert_eq!(at, range.end);
        }
        // as few extents as there can be
        let breaks = (0..LEN as usize).filter(|&i| match (i.checked_sub(1).and_then(|b| model[b]), model[i]) {
            (_, None) => false,
            (Some((source, offset)), Some(here)) => (source, offset + 1) != here,
            (None, Some(_)) => true,
        });
        prop_assert_eq!(map.mapped().count(), breaks.count());
        for i in 0..LEN {
            let found = map.find(i).map(|e| (e.target.source.0, e.target.offset + (i - e.offset)));
            prop_assert_eq!(found, model[i as usize]);
            let next = (i..LEN).find(|&j| model[j as usize].is_some());
            prop_assert_eq!(map.next_mapped(i).map(|e| e.offset), next);
        }
    }
}

/// Half a million extents, ascending as a bulk build makes them and in no order as a fragmented volume does. The limit
/// is generous (about twenty times what it takes) because test machines are busy; a quadratic map misses it by far.
#[test]
fn half_a_million_extents_take_no_time_to_speak_of() {
    const COUNT: u64 = 500_000;
    let started = Instant::now();
    let mut map = ExtentMap::new(COUNT * 8192);
    for i in 0..COUNT {
        map.splice(i * 8192, 4096, SourceRange { source: SourceId(0), offset: i * 4096 }).unwrap();
    }
    let ascending = started.elapsed();
    assert_eq!(map.mapped().count() as u64, COUNT);
    let started = Instant::now();
    let mut at = 1;
    for i in 0..COUNT {
        at = (at + 275_604_541) % COUNT; // a prime: every place once
        map.splice(at * 8192 + 512, 1024, SourceRange { source: SourceId(1), offset: i * 4096 }).unwrap();
    }
    let scattered = started.elapsed();
    assert_eq!(map.mapped().count() as u64, 3 * COUNT);
    let started = Instant::now();
    map.discard(0, COUNT * 8192).unwrap();
    let cleared = started.elapsed();
    println!("{COUNT} splices ascending {ascending:?}, scattered {scattered:?}, cleared {cleared:?}");
    assert!(ascending + scattered + cleared < Duration::from_secs(20));
}
