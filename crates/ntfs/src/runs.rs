//! Mapping pairs: the packed form in which NTFS keeps the runs of a non-resident attribute.
//!
//! Each run is one header byte (low nibble: bytes of the length; high nibble: bytes of the offset), the length in
//! clusters, and the signed distance of its first cluster from that of the run before. No offset: a hole. A zero
//! header ends the list. Specified in [MS-FSA] by behaviour only; the layout is that of every NTFS volume since 1.2.

use volume::Run;

/// Why mapping pairs are not a list of runs on this volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// The bytes end inside a run, or before the end mark.
    #[error("the mapping pairs end in the middle")]
    Truncated,
    /// A run without length or with one that no volume has.
    #[error("a run has an impossible length")]
    Length,
    /// A run before the first or behind the last cluster.
    #[error("a run lies outside the volume")]
    Outside,
    /// The runs cover more or fewer clusters than the attribute says.
    #[error("the runs cover other clusters than the attribute says")]
    Count,
}

/// Decodes mapping pairs that must cover exactly `clusters` clusters, and appends them to `into` in bytes. Runs that
/// continue the one before are joined to it.
///
/// `cluster` is the size of a cluster and `volume` the number of clusters of the volume.
pub fn decode(
    pairs: &[u8],
    clusters: u64,
    cluster: u64,
    volume: u64,
    into: &mut Vec<Run>,
) -> Result<(), RunError> {
    let mut rest = pairs;
    let mut lcn: u64 = 0;
    let mut covered: u64 = 0;
    loop {
        let (&header, after) = rest.split_first().ok_or(RunError::Truncated)?;
        if header == 0 {
            break;
        }
        let (length_bytes, offset_bytes) = (usize::from(header & 15), usize::from(header >> 4));
        if length_bytes == 0 || length_bytes > 8 || offset_bytes > 8 {
            return Err(RunError::Length);
        }
        if after.len() < length_bytes + offset_bytes {
            return Err(RunError::Truncated);
        }
        let len = u64::try_from(signed(&after[..length_bytes])).map_err(|_| RunError::Length)?;
        covered = covered.checked_add(len).filter(|&sum| sum <= clusters).ok_or(RunError::Count)?;
        if len == 0 {
            return Err(RunError::Length);
        }
        let bytes = len.checked_mul(cluster).ok_or(RunError::Length)?;
        let at = if offset_bytes == 0 {
            None
        } else {
            lcn = lcn
                .checked_add_signed(signed(&after[length_bytes..length_bytes + offset_bytes]))
                .ok_or(RunError::Outside)?;
            if lcn.checked_add(len).is_none_or(|end| end > volume) {
                return Err(RunError::Outside);
            }
            Some(lcn * cluster)
        };
        push(into, Run { at, len: bytes });
        rest = &after[length_bytes + offset_bytes..];
    }
    if covered == clusters { Ok(()) } else { Err(RunError::Count) }
}

/// Appends a run, joining it to the last one when it continues it.
fn push(into: &mut Vec<Run>, run: Run) {
    if let Some(last) = into.last_mut() {
        let continues = match (last.at, run.at) {
            (None, None) => true,
            (Some(before), Some(now)) => before.checked_add(last.len) == Some(now),
            _ => false,
        };
        if let Some(sum) = last.len.checked_add(run.len).filter(|_| continues) {
            last.len = sum;
            return;
        }
    }
    into.push(run);
}

/// Packs runs (in bytes, multiples of `cluster`) into mapping pairs, the shortest form, with the end mark.
pub fn encode(runs: &[Run], cluster: u64) -> Vec<u8> {
    let mut pairs = Vec::with_capacity(runs.len() * 4 + 1);
    let mut lcn: u64 = 0;
    for run in runs {
        let len = run.len / cluster;
        let length_bytes = width(len.cast_signed());
        let (offset, offset_bytes) = match run.at {
            None => (0, 0),
            Some(at) => {
                let delta = (at / cluster).wrapping_sub(lcn).cast_signed();
                lcn = at / cluster;
                (delta, width(delta))
            }
        };
        pairs.push((offset_bytes << 4 | length_bytes) as u8);
        pairs.extend_from_slice(&len.to_le_bytes()[..length_bytes]);
        pairs.extend_from_slice(&offset.to_le_bytes()[..offset_bytes]);
    }
    pairs.push(0);
    pairs
}

/// Fewest bytes that hold a signed number; at least one.
fn width(value: i64) -> usize {
    let significant = 65 - if value < 0 { (!value).leading_zeros() } else { value.leading_zeros() };
    significant.div_ceil(8) as usize
}

/// A little-endian two's complement number of 1 to 8 bytes.
fn signed(bytes: &[u8]) -> i64 {
    let fill = if bytes.last().is_some_and(|&top| top >= 0x80) { 0xff } else { 0 };
    let mut whole = [fill; 8];
    whole[..bytes.len()].copy_from_slice(bytes);
    i64::from_le_bytes(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(pairs: &[u8], clusters: u64) -> Result<Vec<Run>, RunError> {
        let mut runs = Vec::new();
        decode(pairs, clusters, 512, 1 << 40, &mut runs).map(|()| runs)
    }

    #[test]
    fn backward_offsets_and_holes_are_followed() {
        let pairs = [0x21, 0x10, 0x00, 0x01, 0x01, 0x08, 0x11, 0x04, 0xe0, 0];
        assert_eq!(
            whole(&pairs, 28).unwrap(),
            [
                Run { at: Some(0x100 * 512), len: 16 * 512 },
                Run { at: None, len: 8 * 512 },
                Run { at: Some(0xe0 * 512), len: 4 * 512 },
            ]
        );
    }

    #[test]
    fn lists_that_lie_are_refused() {
        assert_eq!(whole(&[0x11, 4, 1], 4), Err(RunError::Truncated));
        assert_eq!(whole(&[0x11, 4], 4), Err(RunError::Truncated));
        assert_eq!(whole(&[0x11, 4, 1, 0], 5), Err(RunError::Count));
        assert_eq!(whole(&[0x11, 4, 1, 0], 3), Err(RunError::Count));
        assert_eq!(whole(&[0x11, 0, 1, 0], 0), Err(RunError::Length));
        assert_eq!(whole(&[0x11, 4, 0xff, 0], 4), Err(RunError::Outside));
        assert_eq!(whole(&[0x91, 4, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0], 4), Err(RunError::Length));
        assert_eq!(
            decode(&[0x11, 4, 7, 0], 4, 512, 10, &mut Vec::new()),
            Err(RunError::Outside),
            "the run ends one cluster behind the volume"
        );
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_the_same_runs(parts in prop::collection::vec((prop::option::of(0u64..1 << 32), 1u64..1 << 20), 0..40)) {
            let mut runs = Vec::new();
            for (at, len) in parts {
                push(&mut runs, Run { at: at.map(|c| c * 512), len: len * 512 });
            }
            let clusters = runs.iter().map(|run| run.len / 512).sum();
            let mut again = Vec::new();
            decode(&encode(&runs, 512), clusters, 512, 1 << 33, &mut again).unwrap();
            prop_assert_eq!(again, runs);
        }
    }
}
