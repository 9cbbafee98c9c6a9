//! `lamina plumbing compose`

use super::composite::ImageArgs;
use super::version::reference;
use crate::cli::size;
use crate::printer::amount::{Count, ExactBytes, Of};
use crate::printer::page::{Page, STRONG, Styled, Visible};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use layering::report::ComposeReport;
use layering::request::{ComposeRequest, Recovery};
use std::io;
use worker::Job;

/// Compose a layered image
///
/// Composites the OS version, the app layer versions in priority order and the publishing platform layer version into
/// one bootable disk, which is kept in the store as an image. File contents are not copied. The higher layer wins per
/// file; `conflicts` tells beforehand where. The same inputs always give the same digest.
///
/// Services and drivers of platforms that the platform layer did not select are put out of action, as recipes say; the
/// files recipes/NAME.txt in the store's directory add to them. `show` names what was done.
#[derive(Args)]
#[command(after_long_help = "\
Examples:
  lamina plumbing compose --os 'os:Windows 11' \\
      --layer app:.NET --layer app:Office --image Desktop
  With a publishing platform layer, on a larger disk, the recovery partition moved to its end:
    lamina plumbing compose --os 'os:Windows 11@24H2' --layer app:Office@2024 \\
        --platform platform:Azure --image Desktop --size 256GiB --recovery move")]
pub(super) struct ComposeArgs {
    #[command(flatten)]
    composite: ImageArgs,
    /// Name of the image
    #[arg(long, value_name = "NAME")]
    image: String,
    /// Length of the disk; the OS volume grows with it [default: 100GiB or the OS disk's, whichever is larger]
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    size: Option<u64>,
    /// What becomes of a (recovery) partition behind the OS volume when the disk grows [default: refuse]
    ///
    /// `move` takes it to the new end of the disk, `drop` leaves it out.
    #[arg(long, value_parser = recovery())]
    recovery: Option<Recovery>,
}

fn recovery() -> impl TypedValueParser<Value = Recovery> {
    PossibleValuesParser::new(["move", "drop"]).map(|choice| match choice.as_str() {
        "move" => Recovery::Move,
        _ => Recovery::Drop,
    })
}

impl ComposeArgs {
    pub(super) fn job(self) -> Job {
        Job::Compose(ComposeRequest {
            composite: self.composite.into(),
            image: self.image,
            size: self.size,
            recovery: self.recovery,
        })
    }
}

pub(super) fn human(report: &ComposeReport, page: &mut Page<'_>) -> io::Result<()> {
    page.line(Styled(STRONG, format_args!("Composed {}", reference(&report.image))))?;
    page.field("disk", ExactBytes(report.image.size))?;
    page.field(
        "applied",
        format_args!(
            "{}, {}, {} taken away",
            Of(report.files, "file"),
            Of(report.directories, "directory"),
            Count(report.removed)
        ),
    )?;
    page.field("spliced", format_args!("{}, shared with the layers", ExactBytes(report.spliced)))?;
    page.field("written", format_args!("{} of metadata", ExactBytes(report.written)))?;
    if report.applied > 0 {
        let changes = Of(report.applied, "change");
        page.field(
            "recipes",
            format_args!("{changes} against software of other platforms; `show` names them"),
        )?;
    }
    page.field("digest", Visible(&report.digest))?;
    page.field("id", Visible(&report.image.id))
}
