//! Reading what no library reads: qemu-img converts the image into a sparse raw file without a name.

use super::backing::check_chain;
use super::image_file::ImageFile;
use super::raw::FlatSource;
use super::{Error, Format, OpenOptions, OpenedDisk, Result, Warning, check_disk_len};
use operation::{Progress, Unit};
use std::io::{self, Read, Seek};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// Between two looks at whether the program has ended.
const POLL: Duration = Duration::from_millis(20);
/// Bytes of what the program says that go into a message.
const MAX_SAID: u64 = 4096;

/// Converts the image in `file` because of `feature`. The caller has checked that it refers to no other files, or
/// that it may.
pub(super) fn convert(
    file: &ImageFile,
    format: Format,
    feature: &'static str,
    options: &OpenOptions<'_>,
) -> Result<OpenedDisk> {
    let fail = |reason: String| Error::Converter { path: file.path().to_owned(), reason };
    let directory = match (options.scratch, file.path().parent()) {
        (Some(scratch), _) => scratch,
        (None, Some(parent)) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // Without a name nobody can take it away meanwhile, and nothing is left of it whatever happens. The program gets
    // it as its standard output, to which it writes nothing else.
    let scratch = |error: io::Error| fail(format!("no scratch file in {}: {error}", directory.display()));
    let converted = tempfile::tempfile_in(directory).map_err(scratch)?;
    let mut said = tempfile::tempfile_in(directory).map_err(scratch)?;
    let mut command = Command::new("qemu-img");
    command.args(["convert", "-O", "raw"]).env("LC_ALL", "C");
    command.stdout(converted.try_clone().map_err(scratch)?).stderr(said.try_clone().map_err(scratch)?);
    // In a process group of its own an interrupt at the terminal does not reach it: it is stopped here, with a reason.
    command.process_group(0);
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
    options.progress.step("Converting with qemu-img", None, Unit::Bytes);
    let child = command.arg("/dev/fd/1").spawn().map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => {
            Error::ConverterForbidden { path: file.path().to_owned(), feature }
        }
        _ => fail(format!("it does not start: {error}")),
    })?;
    let status = wait(child, options.progress).map_err(|error| fail(error.to_string()))?;
    let Some(status) = status else { return Err(Error::Cancelled) };
    if !status.success() {
        let mut text = Vec::new();
        let read = said.rewind().and_then(|()| said.take(MAX_SAID).read_to_end(&mut text));
        read.map_err(|error| fail(error.to_string()))?;
        return Err(fail(format!("{} ({status})", String::from_utf8_lossy(&text).trim())));
    }
    let converted = ImageFile::of(converted, file.path())?;
    let len = converted.len();
    check_disk_len(file, len)?;
    let source = Arc::new(FlatSource::new(converted, len));
    Ok(OpenedDisk { source, format, warnings: vec![Warning::Converted(feature)] })
}

/// Waits for a program, and ends it when it is not wanted any more: `None`.
fn wait(mut child: Child, progress: &dyn Progress) -> io::Result<Option<ExitStatus>> {
    loop {
        if progress.cancelled() {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        thread::sleep(POLL);
    }
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
