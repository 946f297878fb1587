//! Which system calls a guest may make: all but those that reach beyond its own process.
//!
//! The list names what is forbidden. A policy is a vendor's code with whatever runtime it brings, so a list of what is
//! allowed would break at the next C library, and what it could reach is behind the other layers already.

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
pub(super) use known::filter;

/// Filters the system calls of this thread, with all that it starts.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
pub(super) fn filter(_has_network: bool) -> Result<(), String> {
    Err(format!("not known for {}", std::env::consts::ARCH))
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
mod known {
    use std::collections::BTreeMap;

    use nix::libc;
    use seccompiler::{
        BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
        SeccompFilter, SeccompRule, apply_filter,
    };

    /// Calls that no guest needs.
    const FORBIDDEN: &[i64] = &[
        // Other programs, other processes.
        libc::SYS_execve,
        libc::SYS_execveat,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_process_madvise,
        libc::SYS_kcmp,
        libc::SYS_pidfd_open,
        libc::SYS_pidfd_getfd,
        libc::SYS_pidfd_send_signal,
        libc::SYS_tkill,
        // Other namespaces, other roots, mounts.
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_chroot,
        libc::SYS_pivot_root,
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_move_mount,
        libc::SYS_open_tree,
        libc::SYS_fsopen,
        libc::SYS_fsconfig,
        libc::SYS_fsmount,
        libc::SYS_fspick,
        libc::SYS_mount_setattr,
        libc::SYS_open_by_handle_at,
        libc::SYS_name_to_handle_at,
        // What Landlock lets pass: rights, owners and attributes of files.
        libc::SYS_fchmod,
        libc::SYS_fchmodat,
        libc::SYS_fchown,
        libc::SYS_fchownat,
        libc::SYS_setxattr,
        libc::SYS_lsetxattr,
        libc::SYS_fsetxattr,
        libc::SYS_removexattr,
        libc::SYS_lremovexattr,
        libc::SYS_fremovexattr,
        libc::SYS_utimensat,
        // The machine.
        libc::SYS_reboot,
        libc::SYS_swapon,
        libc::SYS_swapoff,
        libc::SYS_acct,
        libc::SYS_quotactl,
        libc::SYS_sethostname,
        libc::SYS_setdomainname,
        libc::SYS_settimeofday,
        libc::SYS_clock_settime,
        libc::SYS_adjtimex,
        libc::SYS_clock_adjtime,
        libc::SYS_init_module,
        libc::SYS_finit_module,
        libc::SYS_delete_module,
        libc::SYS_kexec_load,
        libc::SYS_syslog,
        // Wide doors into the kernel.
        libc::SYS_bpf,
        libc::SYS_perf_event_open,
        libc::SYS_userfaultfd,
        libc::SYS_io_uring_setup,
        libc::SYS_io_uring_enter,
        libc::SYS_io_uring_register,
        libc::SYS_add_key,
        libc::SYS_request_key,
        libc::SYS_keyctl,
        libc::SYS_personality,
        libc::SYS_fanotify_init,
        libc::SYS_lookup_dcookie,
        libc::SYS_vhangup,
    ];
    /// Those that only the oldest of these machines has.
    #[cfg(target_arch = "x86_64")]
    const FORBIDDEN_HERE: &[i64] = &[
        libc::SYS_fork,
        libc::SYS_vfork,
        libc::SYS_chmod,
        libc::SYS_chown,
        libc::SYS_lchown,
        libc::SYS_utime,
        libc::SYS_utimes,
        libc::SYS_futimesat,
        libc::SYS_iopl,
        libc::SYS_ioperm,
        libc::SYS_modify_ldt,
        libc::SYS_kexec_file_load,
    ];
    #[cfg(not(target_arch = "x86_64"))]
    const FORBIDDEN_HERE: &[i64] = &[];
    /// Calls of the x32 convention are the same machine's under other numbers: this bit is set in each.
    #[cfg(target_arch = "x86_64")]
    const OTHER_CONVENTION_BIT: i64 = 0x4000_0000;
    /// The numbers that x32 has for itself.
    #[cfg(target_arch = "x86_64")]
    const OTHER_CONVENTION_OWN: std::ops::RangeInclusive<i64> = 512..=547;

    /// Filters the system calls of this thread, with all that it starts.
    pub(in crate::worker) fn filter(has_network: bool) -> Result<(), String> {
        let own = u64::from(std::process::id());
        let refused = [
            // The C library then makes its threads by `clone`, whose flags a filter can see.
            program(BTreeMap::from([(libc::SYS_clone3, vec![])]), libc::ENOSYS),
            rules(own, has_network).and_then(|rules| program(rules, libc::EPERM)),
        ];
        for program in refused {
            apply_filter(&program.map_err(|error| error.to_string())?).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn program(rules: BTreeMap<i64, Vec<SeccompRule>>, errno: i32) -> Result<BpfProgram, BackendError> {
        let arch = std::env::consts::ARCH.try_into()?;
        let refuses = SeccompAction::Errno(errno.unsigned_abs());
        SeccompFilter::new(rules, SeccompAction::Allow, refuses, arch)?.try_into()
    }

    /// What is refused: a call without a rule always, one with rules where one of them matches.
    fn rules(own: u64, has_network: bool) -> Result<BTreeMap<i64, Vec<SeccompRule>>, BackendError> {
        let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
            FORBIDDEN.iter().chain(FORBIDDEN_HERE).map(|call| (*call, vec![])).collect();
        let is = |argument, operator, value| {
            SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)
        };
        // Threads are its own; processes it has none but itself.
        let thread = u64::from(libc::CLONE_THREAD.unsigned_abs());
        rules.insert(
            libc::SYS_clone,
            vec![SeccompRule::new(vec![is(0, SeccompCmpOp::MaskedEq(thread), 0)?])?],
        );
        for signals in
            [libc::SYS_kill, libc::SYS_tgkill, libc::SYS_rt_sigqueueinfo, libc::SYS_rt_tgsigqueueinfo]
        {
            rules.insert(signals, vec![SeccompRule::new(vec![is(0, SeccompCmpOp::Ne, own)?])?]);
        }
        let internet = [libc::AF_INET, libc::AF_INET6].map(|family| u64::from(family.unsigned_abs()));
        let foreign = internet.iter().map(|family| is(0, SeccompCmpOp::Ne, *family));
        let sockets =
            if has_network { vec![SeccompRule::new(foreign.collect::<Result<_, _>>()?)?] } else { vec![] };
        rules.insert(libc::SYS_socket, sockets);
        #[cfg(target_arch = "x86_64")]
        {
            let others: Vec<i64> = rules.keys().map(|call| call | OTHER_CONVENTION_BIT).collect();
            let own = OTHER_CONVENTION_OWN.map(|call| call | OTHER_CONVENTION_BIT);
            rules.extend(others.into_iter().chain(own).map(|call| (call, vec![])));
        }
        Ok(rules)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn every_list_becomes_a_program_that_the_kernel_takes_the_length_of() {
            for has_network in [false, true] {
                let program = program(rules(1, has_network).unwrap(), libc::EPERM).unwrap();
                assert!((100..4_096).contains(&program.len()), "{} instructions", program.len());
            }
        }

        #[test]
        fn a_socket_is_refused_whole_without_a_network_and_by_family_with_one() {
            assert_eq!(rules(1, false).unwrap()[&libc::SYS_socket], []);
            assert_eq!(rules(1, true).unwrap()[&libc::SYS_socket].len(), 1);
        }
    }
}
