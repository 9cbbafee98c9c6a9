//! Which system calls may be made, by seccomp.
//!
//! A call that is refused gives an error, as if the kernel did not permit it; nothing is killed. So a library that asks
//! for something new goes on as it would on an older kernel, and a person reads which operation was not permitted.

use super::Enforced;
use libc::*;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter,
};
use std::collections::BTreeMap;
use std::env::consts::ARCH;

/// Calls and the cases in which they are meant: any of them, or always when there is none.
type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// What the engine, the standard library, the C library and the allocator use.
const NEEDED: &[c_long] = &[
    // files that are open
    SYS_read,
    SYS_write,
    SYS_readv,
    SYS_writev,
    SYS_pread64,
    SYS_pwrite64,
    SYS_preadv,
    SYS_pwritev,
    SYS_preadv2,
    SYS_pwritev2,
    SYS_lseek,
    SYS_close,
    SYS_close_range,
    SYS_dup,
    SYS_dup3,
    SYS_fcntl,
    SYS_flock,
    SYS_fstat,
    SYS_fstatfs,
    SYS_fsync,
    SYS_fdatasync,
    SYS_ftruncate,
    SYS_fallocate,
    SYS_fadvise64,
    SYS_fchmod,
    SYS_copy_file_range,
    SYS_sendfile,
    SYS_splice,
    SYS_pipe2,
    SYS_ppoll,
    SYS_getdents64,
    // names
    SYS_openat,
    SYS_openat2,
    SYS_newfstatat,
    SYS_statx,
    SYS_statfs,
    SYS_faccessat,
    SYS_faccessat2,
    SYS_readlinkat,
    SYS_renameat2,
    SYS_linkat,
    SYS_unlinkat,
    SYS_mkdirat,
    SYS_fchmodat,
    SYS_utimensat,
    SYS_getcwd,
    SYS_umask,
    // memory
    SYS_mmap,
    SYS_munmap,
    SYS_mremap,
    SYS_mprotect,
    SYS_madvise,
    SYS_brk,
    SYS_get_mempolicy,
    SYS_membarrier,
    // threads; clone3 is answered by another filter
    SYS_futex,
    SYS_clone3,
    SYS_set_robust_list,
    SYS_rseq,
    SYS_sched_yield,
    SYS_sched_getaffinity,
    SYS_getcpu,
    SYS_sigaltstack,
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_restart_syscall,
    SYS_exit,
    SYS_exit_group,
    // about itself and the time
    SYS_getpid,
    SYS_gettid,
    SYS_getppid,
    SYS_getpgid,
    SYS_getuid,
    SYS_geteuid,
    SYS_getgid,
    SYS_getegid,
    SYS_getrusage,
    SYS_getrandom,
    SYS_sysinfo,
    SYS_uname,
    SYS_clock_gettime,
    SYS_clock_getres,
    SYS_clock_nanosleep,
    SYS_nanosleep,
    SYS_gettimeofday,
];

/// Calls that only this architecture has, from before there were better ones.
#[cfg(target_arch = "x86_64")]
const NEEDED_HERE: &[c_long] = &[
    SYS_open,
    SYS_stat,
    SYS_lstat,
    SYS_access,
    SYS_readlink,
    SYS_rename,
    SYS_renameat,
    SYS_link,
    SYS_unlink,
    SYS_mkdir,
    SYS_rmdir,
    SYS_chmod,
    SYS_dup2,
    SYS_pipe,
    SYS_poll,
    SYS_getpgrp,
    SYS_time,
];
#[cfg(not(target_arch = "x86_64"))]
const NEEDED_HERE: &[c_long] = &[];

/// What `qemu-img` has no business with: networks, other processes, the machine, and what undoes confinement.
const DANGEROUS: &[c_long] = &[
    SYS_socket,
    SYS_socketpair,
    SYS_connect,
    SYS_bind,
    SYS_listen,
    SYS_accept,
    SYS_accept4,
    SYS_sendto,
    SYS_sendmsg,
    SYS_sendmmsg,
    SYS_recvfrom,
    SYS_recvmsg,
    SYS_recvmmsg,
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_process_madvise,
    SYS_kcmp,
    SYS_pidfd_open,
    SYS_pidfd_getfd,
    SYS_pidfd_send_signal,
    SYS_rt_sigqueueinfo,
    SYS_rt_tgsigqueueinfo,
    SYS_setsid,
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    SYS_open_tree,
    SYS_move_mount,
    SYS_fsopen,
    SYS_fsconfig,
    SYS_fsmount,
    SYS_fspick,
    SYS_mount_setattr,
    SYS_unshare,
    SYS_setns,
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_io_uring_setup,
    SYS_io_uring_enter,
    SYS_io_uring_register,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_kexec_load,
    SYS_reboot,
    SYS_swapon,
    SYS_swapoff,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_adjtimex,
    SYS_clock_adjtime,
    SYS_sethostname,
    SYS_setdomainname,
    SYS_acct,
    SYS_quotactl,
    SYS_syslog,
    SYS_vhangup,
    SYS_personality,
    SYS_name_to_handle_at,
    SYS_open_by_handle_at,
    SYS_fanotify_init,
    SYS_memfd_create,
    SYS_mknodat,
    SYS_shmget,
    SYS_shmat,
    SYS_msgget,
    SYS_semget,
    SYS_mq_open,
    SYS_setuid,
    SYS_setgid,
    SYS_setreuid,
    SYS_setregid,
    SYS_setresuid,
    SYS_setresgid,
    SYS_setgroups,
    SYS_capset,
];
#[cfg(target_arch = "x86_64")]
const DANGEROUS_HERE: &[c_long] = &[SYS_mknod, SYS_iopl, SYS_ioperm, SYS_modify_ldt, SYS_kexec_file_load];
#[cfg(target_arch = "aarch64")]
const DANGEROUS_HERE: &[c_long] = &[SYS_kexec_file_load];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const DANGEROUS_HERE: &[c_long] = &[];

/// Namespaces that a new process could be put into.
const NAMESPACES: [c_int; 7] =
    [CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET];

/// `FICLONE`, `FICLONERANGE`, `TCGETS`, `BLKGETSIZE64`, `BLKSSZGET`: sharing blocks, asking what a file is.
const REQUESTS: [u64; 5] = [0x4004_9409, 0x4020_940d, 0x5401, 0x8008_1272, 0x1268];

/// `PR_SET_NAME` and `PR_SET_VMA`: names of threads and of memory.
const NAMINGS: [u64; 2] = [15, 0x5356_4d41];

/// Refuses every call that the engine does not make.
pub(super) fn allow_needed() -> Result<Enforced, String> {
    answer_clone3()?;
    let mut rules = always(&[NEEDED, NEEDED_HERE]);
    let own = u64::from(std::process::id());
    let thread = Op::MaskedEq(CLONE_THREAD as u64);
    rules.insert(SYS_clone, vec![when(&[(0, thread, CLONE_THREAD as u64)])?]);
    rules.insert(SYS_ioctl, any(1, &REQUESTS)?);
    rules.insert(SYS_prctl, any(0, &NAMINGS)?);
    // Ending itself, and its group, which it leads.
    rules.insert(SYS_kill, any(0, &[0, own])?);
    rules.insert(SYS_tgkill, any(0, &[own])?);
    // Asking for its own limits, not setting any.
    rules.insert(SYS_prlimit64, vec![when(&[(0, Op::Eq, 0), (2, Op::Eq, 0)])?]);
    install(rules, SeccompAction::Errno(EPERM as u32), SeccompAction::Allow)
}

/// Refuses the calls that a converter of disk images must not make.
pub(super) fn refuse_dangerous() -> Result<Enforced, String> {
    answer_clone3()?;
    // It asks to leave the process group that it would be killed with. It stays, and is not told.
    install(always(&[&[SYS_setpgid]]), SeccompAction::Allow, SeccompAction::Errno(0))?;
    let mut rules = always(&[DANGEROUS, DANGEROUS_HERE]);
    let flags = NAMESPACES.map(|flag| when(&[(0, Op::MaskedEq(flag as u64), flag as u64)]));
    rules.insert(SYS_clone, flags.into_iter().collect::<Result<_, _>>()?);
    #[cfg(target_arch = "x86_64")]
    {
        // Every call has another number for programs with short pointers, and some have one only for them.
        const SHORT_POINTERS: i64 = 0x4000_0000;
        let again: Vec<_> =
            rules.iter().map(|(call, cases)| (call | SHORT_POINTERS, cases.clone())).collect();
        rules.extend(again);
        rules.extend((512..=547).map(|call| (call | SHORT_POINTERS, Vec::new())));
    }
    install(rules, SeccompAction::Allow, SeccompAction::Errno(EPERM as u32))
}

/// A filter cannot see the flags of `clone3`. As if the kernel did not have it, the C library calls `clone`.
fn answer_clone3() -> Result<Enforced, String> {
    install(always(&[&[SYS_clone3]]), SeccompAction::Allow, SeccompAction::Errno(ENOSYS as u32))
}

fn always(calls: &[&[c_long]]) -> Rules {
    calls.concat().into_iter().map(|call| (call, Vec::new())).collect()
}

/// The case that each of these arguments compares so with a value.
fn when(arguments: &[(u8, Op, u64)]) -> Result<SeccompRule, String> {
    let condition = |(argument, op, value): &(u8, Op, u64)| {
        SeccompCondition::new(*argument, Len::Qword, op.clone(), *value)
    };
    let conditions: Result<Vec<_>, _> = arguments.iter().map(condition).collect();
    conditions.and_then(SeccompRule::new).map_err(|error| error.to_string())
}

/// The cases that an argument has one of these values. Only 32 bits of it count: the kernel looks at no more.
fn any(argument: u8, values: &[u64]) -> Result<Vec<SeccompRule>, String> {
    let rule = |value: &u64| {
        let condition = SeccompCondition::new(argument, Len::Dword, Op::Eq, *value);
        condition.and_then(|condition| SeccompRule::new(vec![condition])).map_err(|error| error.to_string())
    };
    values.iter().map(rule).collect()
}

/// Lays a filter over those that are there; where they differ, the strictest answer counts.
fn install(rules: Rules, otherwise: SeccompAction, then: SeccompAction) -> Result<Enforced, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let arch = TargetArch::try_from(ARCH).map_err(|error| text(&error))?;
    let filter = SeccompFilter::new(rules, otherwise, then, arch).map_err(|error| text(&error))?;
    let program = BpfProgram::try_from(filter).map_err(|error| text(&error))?;
    apply_filter(&program).map_err(|error| text(&error))?;
    Ok(Enforced::Fully)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_converter_must_not_do_is_needed_by_the_engine() {
        let needed = [NEEDED, NEEDED_HERE].concat();
        let both: Vec<_> =
            [DANGEROUS, DANGEROUS_HERE].concat().into_iter().filter(|call| needed.contains(call)).collect();
        assert_eq!(both, [0; 0]);
        for call in [SYS_execve, SYS_execveat, SYS_setpgid, SYS_setrlimit, SYS_seccomp] {
            assert!(!needed.contains(&call), "{call}");
        }
    }
}
