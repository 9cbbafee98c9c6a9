//! Finds libntfs-3g through pkg-config, links it (statically where the archive is installed) and generates the
//! bindings from its headers.

use std::env;
use std::path::{Path, PathBuf};
use std::process::exit;

/// What to install when something is missing, in the words of the error.
const PACKAGES: &str = "apt-get install ntfs-3g-dev libclang-dev pkg-config";

fn main() {
    println!("cargo:rerun-if-changed=wrapper.h");
    println!("cargo:rerun-if-changed=build.rs");

    // Only the paths: the kind of linking is decided here.
    let library = pkg_config::Config::new()
        .cargo_metadata(false)
        .atleast_version("2021.8.22")
        .probe("libntfs-3g")
        .unwrap_or_else(|error| give_up(&format!("libntfs-3g was not found: {error}")));

    let mut folders = library.link_paths.clone();
    if let Ok(folder) = pkg_config::get_variable("libntfs-3g", "libdir") {
        folders.push(PathBuf::from(folder));
    }
    for folder in &folders {
        println!("cargo:rustc-link-search=native={}", folder.display());
    }
    // The archive makes the program independent of the library's version on the machine where it runs.
    if folders.iter().any(|folder| folder.join("libntfs-3g.a").exists()) {
        println!("cargo:rustc-link-lib=static=ntfs-3g");
    } else {
        println!("cargo:rustc-link-lib=dylib=ntfs-3g");
    }

    let bindings = bindgen::Builder::default()
        .header("wrapper.h")
        .clang_args(library.include_paths.iter().map(|folder| format!("-I{}", folder.display())))
        .allowlist_function("ntfs_.*|free|__errno_location")
        .allowlist_type(
            "ntfs_.*|ATTR_RECORD|MFT_RECORD|INDEX_ENTRY|FILE_NAME_ATTR|NTFS_BOOT_SECTOR|runlist_element",
        )
        .allowlist_var("AT_UNNAMED|NTFS_INDEX_I30|LCN_.*")
        .derive_default(true)
        .layout_tests(true)
        .generate()
        .unwrap_or_else(|error| give_up(&format!("the headers of libntfs-3g could not be read: {error}")));
    let Some(folder) = env::var_os("OUT_DIR") else { give_up("OUT_DIR is not set") };
    if let Err(error) = bindings.write_to_file(Path::new(&folder).join("bindings.rs")) {
        give_up(&format!("the bindings could not be written: {error}"));
    }
}

/// Ends the build with one readable sentence instead of a panic's backtrace.
fn give_up(reason: &str) -> ! {
    println!("cargo:warning=ntfs-sys: {reason}");
    println!("cargo:warning=ntfs-sys: on Debian and Ubuntu: {PACKAGES}");
    eprintln!("ntfs-sys: {reason}\non Debian and Ubuntu: {PACKAGES}");
    exit(1)
}
