//! The C header against the Rust side of the ABI: sizes, offsets, constants, names of the symbols.
//!
//! The layout of version 1.0 is also frozen in numbers here: a change that moves a field fails on both sides.

use std::collections::BTreeMap;
use std::mem::{offset_of, size_of};
use std::path::{Path, PathBuf};
use std::process::Command;

use dr_watchdog_sdk::abi::{
    self, Bytes, Call, HostTable, Manifest, PluginTable, Sink, kind, status, version,
};
use dr_watchdog_sdk::host::Level;

fn include() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("include")
}

fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Compiles without a single warning, or fails with the compiler's own words.
fn compile(compiler: &str, flags: &[&str], source: &Path, output: &Path) {
    let done = Command::new(compiler)
        .args(flags)
        .args(["-Wall", "-Wextra", "-Werror", "-pedantic"])
        .arg("-I")
        .arg(include())
        .arg(source)
        .arg("-o")
        .arg(output)
        .output()
        .unwrap_or_else(|error| panic!("{compiler} is needed for this test: {error}"));
    assert!(done.status.success(), "{compiler} {flags:?}: {}", String::from_utf8_lossy(&done.stderr));
}

macro_rules! layout {
    ($($c:literal $rust:ty { $($field:ident),* })*) => {{
        let mut facts: Vec<(String, String, usize)> = Vec::new();
        $(
            facts.push((format!("sizeof {}", $c), format!("sizeof({})", $c), size_of::<$rust>()));
            $(facts.push((
                format!("{}.{}", $c, stringify!($field)),
                format!("offsetof({}, {})", $c, stringify!($field)),
                offset_of!($rust, $field),
            ));)*
        )*
        facts
    }};
}

fn rust_layout() -> Vec<(String, String, usize)> {
    layout! {
        "drw_bytes" Bytes { ptr, len }
        "drw_sink" Sink { size, reserved, owner, on_bytes }
        "drw_call" Call { size, reserved, ctx, context_json }
        "drw_host" HostTable {
            size, abi_major, abi_minor, reserved, log, remaining_ms, is_cancelled, call, emit
        }
        "drw_plugin" PluginTable { size, reserved, describe, create, evaluate, cancel, destroy }
        "drw_manifest" Manifest {
            magic, size, abi_major, abi_minor_required, flags, name, version, vendor, contact, license, sdk_version,
            target
        }
    }
}

fn constants() -> Vec<(&'static str, i64)> {
    vec![
        ("DRW_ABI_MAJOR", i64::from(version::MAJOR)),
        ("DRW_ABI_MINOR", i64::from(version::MINOR)),
        ("DRW_OK", i64::from(status::OK)),
        ("DRW_ERROR", i64::from(status::ERROR)),
        ("DRW_CANCELLED", i64::from(status::CANCELLED)),
        ("DRW_DENIED", i64::from(status::DENIED)),
        ("DRW_UNSUPPORTED", i64::from(status::UNSUPPORTED)),
        ("DRW_BAD_ARGUMENT", i64::from(status::BAD_ARGUMENT)),
        ("DRW_PANIC", i64::from(status::PANIC)),
        ("DRW_RESULT", i64::from(kind::RESULT)),
        ("DRW_ERROR_OBJECT", i64::from(kind::ERROR)),
        ("DRW_DEBUG", i64::from(Level::Debug.code())),
        ("DRW_INFO", i64::from(Level::Info.code())),
        ("DRW_WARN", i64::from(Level::Warn.code())),
        ("DRW_ERR", i64::from(Level::Error.code())),
        ("DRW_ANSWER_BYTES_MAX", abi::ANSWER_BYTES_MAX as i64),
    ]
}

#[test]
fn sizes_offsets_and_constants_are_the_same_in_c_and_in_rust() {
    let mut lines = String::new();
    let mut expected = BTreeMap::new();
    for (name, expression, value) in rust_layout() {
        lines += &format!("    printf(\"{name}=%lld\\n\", (long long)({expression}));\n");
        expected.insert(name, value as i64);
    }
    for (name, value) in constants() {
        lines += &format!("    printf(\"{name}=%lld\\n\", (long long)({name}));\n");
        expected.insert(name.to_owned(), value);
    }
    for (at, byte) in abi::MAGIC.iter().enumerate() {
        lines += &format!("    printf(\"magic {at}=%lld\\n\", (long long)magic[{at}]);\n");
        expected.insert(format!("magic {at}"), i64::from(*byte));
    }
    let program = format!(
        "#include <stdio.h>\n#include \"drw_policy.h\"\nint main(void)\n{{\n    const unsigned char magic[8] = DRW_MAGIC_BYTES;\n{lines}    return 0;\n}}\n"
    );
    let (source, binary) = (scratch("layout.c"), scratch("layout"));
    std::fs::write(&source, program).unwrap();
    compile("cc", &["-std=c99"], &source, &binary);
    let output = Command::new(&binary).output().unwrap();
    let found: BTreeMap<String, i64> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| {
            let (name, value) = line.split_once('=').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn the_header_and_the_example_compile_as_c99_and_as_cpp17_without_warnings() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/policy.c");
    compile("cc", &["-std=c99", "-shared", "-fPIC"], &example, &scratch("policy.so"));
    let only = scratch("only.c");
    std::fs::write(&only, "#include \"drw_policy.h\"\nextern int unused;\n").unwrap();
    for standard in ["c99", "c11", "c17"] {
        compile("cc", &[&format!("-std={standard}"), "-c"], &only, &scratch("only.o"));
    }
    let source = scratch("only.cpp");
    std::fs::write(
        &source,
        "#include \"drw_policy.h\"\nint32_t drw_plugin_open(const drw_host *host, drw_plugin *)\n{ return DRW_HAS(host, emit) ? DRW_OK : DRW_UNSUPPORTED; }\n",
    )
    .unwrap();
    for standard in ["c++11", "c++14", "c++17"] {
        compile("c++", &[&format!("-std={standard}"), "-c"], &source, &scratch("only.o"));
    }
}

#[test]
#[cfg(target_pointer_width = "64")]
fn the_layout_of_version_1_0_is_frozen() {
    let facts: Vec<String> =
        rust_layout().into_iter().map(|(name, _, value)| format!("{name}={value}")).collect();
    let frozen = "sizeof drw_bytes=16 drw_bytes.ptr=0 drw_bytes.len=8 \
        sizeof drw_sink=24 drw_sink.size=0 drw_sink.reserved=4 drw_sink.owner=8 drw_sink.on_bytes=16 \
        sizeof drw_call=32 drw_call.size=0 drw_call.reserved=4 drw_call.ctx=8 drw_call.context_json=16 \
        sizeof drw_host=56 drw_host.size=0 drw_host.abi_major=4 drw_host.abi_minor=8 drw_host.reserved=12 \
        drw_host.log=16 drw_host.remaining_ms=24 drw_host.is_cancelled=32 drw_host.call=40 drw_host.emit=48 \
        sizeof drw_plugin=48 drw_plugin.size=0 drw_plugin.reserved=4 drw_plugin.describe=8 drw_plugin.create=16 \
        drw_plugin.evaluate=24 drw_plugin.cancel=32 drw_plugin.destroy=40 \
        sizeof drw_manifest=136 drw_manifest.magic=0 drw_manifest.size=8 drw_manifest.abi_major=12 \
        drw_manifest.abi_minor_required=16 drw_manifest.flags=20 drw_manifest.name=24 drw_manifest.version=40 \
        drw_manifest.vendor=56 drw_manifest.contact=72 drw_manifest.license=88 drw_manifest.sdk_version=104 \
        drw_manifest.target=120";
    assert_eq!(facts.join(" "), frozen);
}

#[test]
fn the_names_of_the_symbols_stand_in_the_header() {
    let header = std::fs::read_to_string(include().join("drw_policy.h")).unwrap();
    for symbol in [abi::MANIFEST_SYMBOL, abi::OPEN_SYMBOL] {
        assert!(header.contains(symbol), "{symbol}");
    }
    for method in dr_watchdog_sdk::host::method::ALL {
        assert!(
            header.contains(&format!(" {method} ")),
            "the header does not tell of the host call {method}"
        );
    }
}
