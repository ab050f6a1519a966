/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Copyright (c) 2026 The tcptrace authors */
/* Finds the system call that a task is in, by its registers, on amd64 and arm64. A 32-bit program
 * has other numbers. Only its number of execve() is known here. */
#ifndef TCPTRACE_SYSTEM_CALL_H
#define TCPTRACE_SYSTEM_CALL_H

#include "descriptor.h"
#include "kernel.h"

enum {
	NO_CALL = -1,
	READ_AMD64 = 0,
	CLOSE_AMD64 = 3,
	STAT_AMD64 = 4,
	CONNECT_AMD64 = 42,
	SENDTO_AMD64 = 44,
	SENDMSG_AMD64 = 46,
	EXECVE_AMD64 = 59,
	RECVMSG_AMD64 = 47,
	READLINK_AMD64 = 89,
	NEWFSTATAT_AMD64 = 262,
	READLINKAT_AMD64 = 267,
	RECVMMSG_AMD64 = 299,
	EXECVEAT_AMD64 = 322,
	STATX_AMD64 = 332,
	CLOSE_ARM64 = 57,
	READ_ARM64 = 63,
	READLINKAT_ARM64 = 78,
	NEWFSTATAT_ARM64 = 79,
	CONNECT_ARM64 = 203,
	SENDTO_ARM64 = 206,
	SENDMSG_ARM64 = 211,
	EXECVE_ARM64 = 221,
	RECVMSG_ARM64 = 212,
	RECVMMSG_ARM64 = 243,
	EXECVEAT_ARM64 = 281,
	STATX_ARM64 = 291,
	/* of 32-bit programs */
	EXECVE_32 = 11,
	EXECVEAT_X86_32 = 358,
	EXECVEAT_ARM_32 = 387,
};

static __always_inline bool on_amd64(void)
{
	return bpf_core_field_exists(struct pt_regs___amd64, orig_ax);
}

/* Returns the number of the system call with these registers. NO_CALL: the task is in no system call, or
 * the kernel has forgotten the number. */
static __always_inline int call_number(const void *regs)
{
	if (on_amd64())
		return BPF_CORE_READ((const struct pt_regs___amd64 *)regs, orig_ax);
	if (bpf_core_field_exists(struct pt_regs___arm64, syscallno))
		return BPF_CORE_READ((const struct pt_regs___arm64 *)regs, syscallno);
	return NO_CALL;
}

static __always_inline bool is_read_call(int call)
{
	return call == (on_amd64() ? READ_AMD64 : READ_ARM64);
}

static __always_inline bool is_close_call(int call)
{
	return call == (on_amd64() ? CLOSE_AMD64 : CLOSE_ARM64);
}

/* Reports whether a system call with these registers, which returns 0, is over: the task is on its way
 * back to user space. The register of the result has another value until then: -ENOSYS, or the first
 * argument. */
static __always_inline bool has_returned(const void *regs)
{
	if (on_amd64())
		return !BPF_CORE_READ((const struct pt_regs___amd64 *)regs, ax);
	return !BPF_CORE_READ((const struct pt_regs___arm64 *)regs, regs[0]) && call_argument(regs, 0);
}

/* Reports whether a system call receives messages, in which there may be files. */
static __always_inline bool is_receive_call(int call)
{
	if (on_amd64())
		return call == RECVMSG_AMD64 || call == RECVMMSG_AMD64;
	return call == RECVMSG_ARM64 || call == RECVMMSG_ARM64;
}

static __always_inline bool is_connect_call(int call)
{
	return call == (on_amd64() ? CONNECT_AMD64 : CONNECT_ARM64);
}

/* Reports whether a system call only reads a link or the properties of a file: it never closes a
 * socket of its own. */
static __always_inline bool is_lookup_call(int call)
{
	if (on_amd64())
		return call == STAT_AMD64 || call == READLINK_AMD64 || call == NEWFSTATAT_AMD64 ||
		       call == READLINKAT_AMD64 || call == STATX_AMD64;
	return call == READLINKAT_ARM64 || call == NEWFSTATAT_ARM64 || call == STATX_ARM64;
}

/* Reports whether a system call may be execve(), also that of a 32-bit program. The number of that one
 * is the number of another call in a 64-bit program. On arm64 a pending signal makes the kernel forget
 * the number before it releases files (do_signal() in arch/arm64/kernel/signal.c). */
static __always_inline bool may_be_exec_call(int call)
{
	if (call == NO_CALL)
		return true;
	if (on_amd64())
		return call == EXECVE_AMD64 || call == EXECVEAT_AMD64 || call == EXECVE_32 || call == EXECVEAT_X86_32;
	return call == EXECVE_ARM64 || call == EXECVEAT_ARM64 || call == EXECVE_32 || call == EXECVEAT_ARM_32;
}

/* Reports whether a system call with these registers sends a message by netlink. */
static __always_inline bool sends_netlink(const void *regs, int call)
{
	const struct sock *sk;
	struct file *file;

	if (on_amd64() ? call != SENDTO_AMD64 && call != SENDMSG_AMD64 : call != SENDTO_ARM64 && call != SENDMSG_ARM64)
		return false;
	file = file_of_descriptor(call_argument(regs, 0));
	sk = file ? socket_of_file(file) : NULL;
	return sk && BPF_CORE_READ(sk, __sk_common.skc_family) == AF_NETLINK;
}

#endif
