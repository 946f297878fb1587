//! Opens a plugin's library as far as its table of functions; nothing of the plugin runs before its numbers fit.

use std::fs::{self, File};
use std::io::Read;
use std::mem::{offset_of, size_of};
use std::path::Path;

use dr_watchdog_sdk::abi::{
    self, Bytes, MANIFEST_SYMBOL, Manifest, OPEN_SYMBOL, OpenFn, PluginTable, status, version,
};
use libloading::os::unix::{Library as Dl, RTLD_LOCAL, RTLD_NOW};

use super::{PluginFile, elf, evaluations};
use crate::policy::{Failure, FailureKind};

/// Longest text of a manifest that is read; it is shown in one line.
const MANIFEST_TEXT_BYTES_MAX: usize = 1_024;

/// A library whose numbers fit. It stays loaded until the process ends.
#[derive(Debug)]
pub(super) struct Library {
    /// Its functions; all five are there.
    pub(super) functions: Functions,
    /// Name of the policy, by its manifest.
    pub(super) name: String,
    /// Version of the policy, by its manifest.
    pub(super) version: String,
    /// Where to ask about it.
    pub(super) contact: String,
}

/// The functions of a plugin, checked to be there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Functions {
    pub(super) describe: unsafe extern "C" fn(*const abi::Sink) -> i32,
    pub(super) create: unsafe extern "C" fn(Bytes, *const abi::Sink) -> *mut abi::Instance,
    pub(super) evaluate: unsafe extern "C" fn(*mut abi::Instance, *const abi::Call, *const abi::Sink) -> i32,
    pub(super) cancel: unsafe extern "C" fn(*mut abi::Instance),
    pub(super) destroy: unsafe extern "C" fn(*mut abi::Instance),
}

/// Opens the library.
pub(super) fn open(file: PluginFile<'_>) -> Result<Library, Failure> {
    let (path, reached) = (file.path, file.reached());
    let refuse = |message: String, hint: &str| refusal(path, &message, hint);
    check_file(path, &reached)?;
    // SAFETY: loading runs the library's constructors. That is the point of no trust in design 7: it happens in a
    // worker process, for a file whose owner and permissions were checked.
    let library = unsafe { Dl::open(Some(&reached), RTLD_NOW | RTLD_LOCAL) }.map_err(|error| {
        let why = reason(&error).replace(&*reached.to_string_lossy(), &path.to_string_lossy());
        refuse(why, "install what it needs, or ask its vendor for another build")
    })?;
    // Never unloaded, whatever comes next.
    let library = Box::leak(Box::new(library));
    let manifest = manifest(path, library)?;
    // SAFETY: the manifest says that the library speaks this ABI, where the symbol is this function.
    let open = unsafe { library.get::<OpenFn>(OPEN_SYMBOL) }.map_err(|_| missing(path, OPEN_SYMBOL))?;
    let mut table = PluginTable {
        size: size_of::<PluginTable>() as u32,
        reserved: 0,
        describe: None,
        create: None,
        evaluate: None,
        cancel: None,
        destroy: None,
    };
    // SAFETY: the host's table is static, and ours has the room that its size says.
    let status = unsafe { open(&raw const evaluations::HOST_TABLE, &raw mut table) };
    if status != status::OK {
        let message = format!("its {OPEN_SYMBOL} refuses this host with status {status}");
        return Err(refuse(message, "ask its vendor which version of dr-watchdog it works with"));
    }
    let functions = functions(&table)
        .map_err(|missing| refuse(missing, "ask its vendor for a build with all functions of ABI 1.0"))?;
    // SAFETY: the texts are constant data of a library that stays loaded.
    let text = |bytes| unsafe { text(bytes) };
    Ok(Library {
        functions,
        name: text(manifest.name),
        version: text(manifest.version),
        contact: text(manifest.contact),
    })
}

fn refusal(path: &Path, message: &str, hint: &str) -> Failure {
    Failure {
        kind: FailureKind::Load,
        message: format!("{} cannot be loaded: {message}", path.display()),
        line: None,
        hint: Some(hint.to_owned()),
    }
}

fn missing(path: &Path, symbol: &str) -> Failure {
    refusal(
        path,
        &format!("it exports no \"{symbol}\", so it is no policy of dr-watchdog"),
        "in Rust write drw_export!(MyPolicy) in a cdylib; in C define both symbols of drw_policy.h",
    )
}

fn check_file(path: &Path, reached: &Path) -> Result<(), Failure> {
    let cannot_read = |error: std::io::Error| {
        refusal(path, &format!("it cannot be read: {error}"), "correct watchdog.failureDetection.script")
    };
    // Before it is opened: opening a pipe waits for whoever writes into it.
    if !fs::metadata(reached).map_err(cannot_read)?.is_file() {
        return Err(refusal(path, "it is no regular file", "name the plugin's .so file"));
    }
    let file = File::open(reached).map_err(cannot_read)?;
    let mut header = Vec::new();
    file.take(elf::HEADER_BYTES as u64).read_to_end(&mut header).map_err(cannot_read)?;
    elf::check(&header).map_err(|error| {
        refusal(
            path,
            &error.to_string(),
            "use the vendor's build for this machine; scripts need another ending",
        )
    })
}

/// The loader's own words without the file's name, which the message has already.
fn reason(error: &libloading::Error) -> String {
    let mut text = error.to_string();
    if let Some(source) = std::error::Error::source(error) {
        text = source.to_string();
    }
    format!("the dynamic loader says: {text}")
}

/// Reads the manifest, as far as its size goes.
fn manifest(path: &Path, library: &'static Dl) -> Result<&'static Manifest, Failure> {
    // SAFETY: only the address is taken here.
    let symbol = unsafe { library.get::<*const Manifest>(MANIFEST_SYMBOL) };
    let address: *const Manifest = *symbol.map_err(|_| missing(path, MANIFEST_SYMBOL))?;
    if address.is_null() || !address.is_aligned() {
        return Err(missing(path, MANIFEST_SYMBOL));
    }
    // SAFETY: the symbol names a constant; its first 8 bytes are read before anything else is believed.
    let magic = unsafe { (*address).magic };
    if magic != abi::MAGIC {
        return Err(refusal(
            path,
            &format!("its manifest begins with {}, not with \"DRWPLUG\"", magic.escape_ascii()),
            "build it with drw_policy.h, or with the dr-watchdog SDK",
        ));
    }
    // SAFETY: with the magic of a manifest, the three numbers behind it are there in every version of the ABI.
    let (size, major, minor) =
        unsafe { ((*address).size, (*address).abi_major, (*address).abi_minor_required) };
    version::check(major, minor)
        .map_err(|mismatch| refusal(path, &mismatch.to_string(), &mismatch.remedy()))?;
    let least = offset_of!(Manifest, target) + size_of::<Bytes>();
    if (size as usize) < least {
        return Err(refusal(
            path,
            &format!(
                "its manifest says it has {size} bytes, and one of ABI {major}.{minor} has at least {least}"
            ),
            "set its size to sizeof(drw_manifest)",
        ));
    }
    // SAFETY: the size covers the whole of what this host knows, and the library stays loaded.
    Ok(unsafe { &*address })
}

fn functions(table: &PluginTable) -> Result<Functions, String> {
    let least = offset_of!(PluginTable, destroy) + size_of::<usize>();
    if (table.size as usize) < least {
        return Err(format!("its table says it has {} bytes, and one of ABI 1.0 has {least}", table.size));
    }
    let missing = |name: &str| format!("its table has no function \"{name}\"");
    Ok(Functions {
        describe: table.describe.ok_or_else(|| missing("describe"))?,
        create: table.create.ok_or_else(|| missing("create"))?,
        evaluate: table.evaluate.ok_or_else(|| missing("evaluate"))?,
        cancel: table.cancel.ok_or_else(|| missing("cancel"))?,
        destroy: table.destroy.ok_or_else(|| missing("destroy"))?,
    })
}

/// A text of a manifest, shortened and made printable.
///
/// # Safety
/// The bytes must be readable.
unsafe fn text(bytes: Bytes) -> String {
    let shortened = Bytes { ptr: bytes.ptr, len: bytes.len.min(MANIFEST_TEXT_BYTES_MAX) };
    // SAFETY: the caller's promise; it is shorter now, never longer.
    let slice = unsafe { shortened.as_slice() };
    String::from_utf8_lossy(slice).chars().filter(|character| !character.is_control()).collect()
}
