//! Every cluster belongs to one attribute, and $Bitmap knows it.

use super::records::Claim;
use super::report::CheckReport;
use crate::bitmap::{UsedClusters, extents};
use crate::mft::Mft;
use std::ops::Range;
use volume::Result;

/// Codes: `cross-linked`, `used-but-free`, `allocated-but-unused` (a warning: Windows loses clusters now and then).
pub(super) fn check(mft: &Mft<'_>, mut claims: Vec<Claim>, report: &mut CheckReport) -> Result<()> {
    claims.sort_unstable();
    let cluster = mft.boot.cluster;
    let claimed = united(&claims, cluster, report);
    report.counts.clusters = claimed.iter().map(|range| range.end - range.start).sum();
    let Some(extents) = report.note("bitmap", extents(mft))? else { return Ok(()) };
    let mut marked = UsedClusters::new(mft.source, &mft.boot, extents);
    let mut claimed = claimed.into_iter();
    let (mut owned, mut used) = (claimed.next(), marked.next().transpose()?);
    while owned.is_some() || used.is_some() {
        let start = |range: &Option<Range<u64>>| range.as_ref().map_or(u64::MAX, |range| range.start);
        let end = |range: &Option<Range<u64>>| range.as_ref().map_or(u64::MAX, |range| range.end);
        // Both ranges are cut at the next place where one of them begins or ends.
        let from = start(&owned).min(start(&used));
        let (is_owned, is_used) = (start(&owned) == from, start(&used) == from);
        let to = [end(&owned), end(&used), start(&owned), start(&used)]
            .into_iter()
            .filter(|&at| at > from)
            .min()
            .unwrap_or(u64::MAX);
        if is_owned && !is_used {
            let message = "clusters that belong to a file are free in $Bitmap";
            report.error("used-but-free", clusters(&(from..to)), message);
        } else if is_used && !is_owned {
            let message = "clusters are in use in $Bitmap but belong to nothing";
            report.warning("allocated-but-unused", clusters(&(from..to)), message);
        }
        if is_owned {
            owned =
                owned.map(|range| to..range.end).filter(|rest| !rest.is_empty()).or_else(|| claimed.next());
        }
        if is_used {
            used = match used.map(|range| to..range.end).filter(|rest| !rest.is_empty()) {
                Some(rest) => Some(rest),
                None => marked.next().transpose()?,
            };
        }
    }
    Ok(())
}

/// The clusters that something owns, and a finding for each pair that shares some.
fn united(claims: &[Claim], cluster: u64, report: &mut CheckReport) -> Vec<Range<u64>> {
    let mut all: Vec<Range<u64>> = Vec::new();
    let mut last: Option<&Claim> = None;
    for claim in claims {
        let range = claim.start / cluster..claim.end / cluster;
        if let Some(before) = last.filter(|before| before.end > claim.start) {
            report.error(
                "cross-linked",
                clusters(&(range.start..range.end.min(before.end / cluster))),
                format!(
                    "they belong to attribute {:#x} of record {} and to attribute {:#x} of record {}",
                    before.attribute, before.record, claim.attribute, claim.record
                ),
            );
        }
        if last.is_none_or(|before| claim.end > before.end) {
            last = Some(claim);
        }
        match all.last_mut() {
            Some(open) if open.end >= range.start => open.end = open.end.max(range.end),
            _ => all.push(range),
        }
    }
    all
}

fn clusters(range: &Range<u64>) -> String {
    format!("clusters {}..{}", range.start, range.end)
}
