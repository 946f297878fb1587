//! Tells the crate for which target it is built, so that a plugin can say so in its manifest.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let target = std::env::var("TARGET").unwrap_or_else(|_| "unknown".to_owned());
    println!("cargo:rustc-env=DRW_TARGET={target}");
}
