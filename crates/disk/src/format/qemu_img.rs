//! Reading what no library reads: qemu-img converts the image into a sparse raw file without a name.

use super::backing::check_chain;
use super::image_file::ImageFile;
use super::raw::FlatSource;
use super::{Error, Format, OpenOptions, OpenedDisk, Result, Warning, check_disk_len};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

/// Converts the image in `file` because of `feature`. The caller has checked that it refers to no other files, or
/// that it may.
pub(super) fn convert(
    file: &ImageFile,
    format: Format,
    feature: &'static str,
    options: &OpenOptions,
) -> Result<OpenedDisk> {
    let fail = |reason: String| Error::Converter { path: file.path().to_owned(), reason };
    let directory = match (&options.scratch, file.path().parent()) {
        (Some(scratch), _) => scratch.as_path(),
        (None, Some(parent)) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let scratch = tempfile::Builder::new()
        .prefix(".convert-")
        .suffix(".raw")
        .tempfile_in(directory)
        .map_err(|error| fail(format!("no scratch file in {}: {error}", directory.display())))?;
    let mut command = Command::new("qemu-img");
    command.args(["convert", "-O", "raw"]).stdout(Stdio::null()).stderr(Stdio::piped()).env("LC_ALL", "C");
    let name = file.path().to_str();
    match (options.allow_backing, name) {
        (true, Some(name)) => {
            check_chain(file)?;
            // The name lets relative references be resolved.
            command.args(["-f", driver(format), name]).stdin(Stdio::null());
        }
        (true, None) => return Err(fail("its path is not UTF-8".to_owned())),
        (false, _) => {
            // The very file that was checked, and no other whatever it says.
            let input = file.file().try_clone().map_err(|source| fail(source.to_string()))?;
            let json = format!(
                r#"json:{{"driver":"{}","backing":null,"file":{{"driver":"file","filename":"/dev/fd/0"}}}}"#,
                driver(format)
            );
            command.arg(json).stdin(input);
        }
    }
    let child =
        command.arg(scratch.path()).spawn().map_err(|error| fail(format!("it does not start: {error}")))?;
    let output = child.wait_with_output().map_err(|error| fail(error.to_string()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(fail(format!("{} ({})", said.trim(), output.status)));
    }
    let converted = ImageFile::open(scratch.path())?;
    let len = converted.len();
    check_disk_len(file, len)?;
    // The name goes with `scratch` here; the open file stays.
    let source = Arc::new(FlatSource::new(converted, len));
    Ok(OpenedDisk { source, format, warnings: vec![Warning::Converted(feature)] })
}

/// QEMU's name of a format.
fn driver(format: Format) -> &'static str {
    match format {
        Format::Raw => "raw",
        Format::Vhd | Format::VhdDynamic => "vpc",
        Format::Vhdx => "vhdx",
        Format::Qcow2 => "qcow2",
        Format::Vmdk => "vmdk",
    }
}
