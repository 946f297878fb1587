//! What the first bytes of a file say about the machine it was built for.
//!
//! The dynamic loader knows it too, and says "wrong ELF class" or "invalid ELF header"; an operator needs the words.

use std::env::consts::ARCH;

/// Bytes that are enough to tell.
pub(super) const HEADER_BYTES: usize = 20;

const CLASS_AT: usize = 4;
const ORDER_AT: usize = 5;
const TYPE_AT: usize = 16;
const MACHINE_AT: usize = 18;
const ORDER_LITTLE: u8 = 1;
const TYPE_SHARED: u16 = 3;

/// Numbers of the machines a plugin may have been built for by mistake, and the names Rust has for them.
const MACHINES: [(u16, u8, &str); 9] = [
    (3, 1, "x86"),
    (8, 1, "mips"),
    (21, 2, "powerpc64"),
    (22, 2, "s390x"),
    (40, 1, "arm"),
    (62, 2, "x86_64"),
    (183, 2, "aarch64"),
    (243, 2, "riscv64"),
    (258, 2, "loongarch64"),
];

/// Why a file cannot be a plugin of this machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoPlugin {
    /// Some other kind of file.
    #[error("it is no shared library: it does not begin as an ELF file")]
    NoElf,
    /// A program or an object file.
    #[error("it is an ELF file, but no shared library")]
    NotShared,
    /// Built for something else.
    #[error("it was built for {found}, and this machine is {ARCH}")]
    OtherMachine {
        /// What it was built for.
        found: String,
    },
}

/// Judges the first bytes of a file.
pub(super) fn check(header: &[u8]) -> Result<(), NoPlugin> {
    let Some(header) = header.first_chunk::<HEADER_BYTES>().filter(|header| header.starts_with(b"\x7fELF"))
    else {
        return Err(NoPlugin::NoElf);
    };
    let word = |at: usize| {
        let bytes = [header[at], header[at + 1]];
        if header[ORDER_AT] == ORDER_LITTLE { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) }
    };
    let known = MACHINES.iter().find(|(machine, _, _)| *machine == word(MACHINE_AT));
    let is_ours_known = MACHINES.iter().any(|(_, _, name)| *name == ARCH);
    match known {
        Some((_, class, name)) if *name == ARCH && *class == header[CLASS_AT] => {}
        Some((_, class, name)) if *class == header[CLASS_AT] => {
            return Err(NoPlugin::OtherMachine { found: (*name).to_owned() });
        }
        _ if is_ours_known => {
            let bits = if header[CLASS_AT] == 1 { 32 } else { 64 };
            return Err(NoPlugin::OtherMachine {
                found: format!("machine {} with {bits} bits", word(MACHINE_AT)),
            });
        }
        // A machine that is not in the table: the dynamic loader is the judge.
        _ => {}
    }
    if word(TYPE_AT) == TYPE_SHARED { Ok(()) } else { Err(NoPlugin::NotShared) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(class: u8, order: u8, kind: u8, machine: u16) -> Vec<u8> {
        let mut header = vec![0; 64];
        header[..4].copy_from_slice(b"\x7fELF");
        (header[4], header[5]) = (class, order);
        let machine = if order == 1 { machine.to_le_bytes() } else { machine.to_be_bytes() };
        header[if order == 1 { 16 } else { 17 }] = kind;
        header[18..20].copy_from_slice(&machine);
        header
    }

    #[test]
    fn this_machines_own_program_is_of_this_machine() {
        let own = std::fs::read("/proc/self/exe").unwrap();
        assert!(matches!(check(&own), Ok(()) | Err(NoPlugin::NotShared)), "{:?}", check(&own));
    }

    #[test]
    fn what_is_no_plugin_of_this_machine_is_told_apart() {
        assert_eq!(check(b""), Err(NoPlugin::NoElf));
        assert_eq!(check(b"#!/bin/sh\necho not a plugin\n"), Err(NoPlugin::NoElf));
        assert_eq!(check(b"\x7fELF"), Err(NoPlugin::NoElf), "cut short");
        let (own, other) = match ARCH {
            "aarch64" => (183, 62),
            _ => (62, 183),
        };
        assert_eq!(check(&header(2, 1, 3, own)), Ok(()));
        assert_eq!(check(&header(2, 1, 1, own)), Err(NoPlugin::NotShared), "an object file");
        for foreign in [header(2, 1, 3, other), header(1, 1, 3, 3), header(2, 2, 3, 22), header(1, 1, 3, own)]
        {
            assert!(matches!(check(&foreign), Err(NoPlugin::OtherMachine { .. })));
        }
        let found = check(&header(2, 2, 3, 22)).unwrap_err();
        assert_eq!(found.to_string(), format!("it was built for s390x, and this machine is {ARCH}"));
    }
}
