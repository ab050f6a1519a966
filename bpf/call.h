/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Copyright (c) 2026 The tcptrace authors */
/* What a process asked for in a system call: bind(), listen() or connect(). */
#ifndef TCPTRACE_CALL_H
#define TCPTRACE_CALL_H

#include "compat.h"
#include "descriptor.h"
#include "event.h"
#include "kernel.h"
#include "process.h"
#include "socket.h"

/* What the tracepoints syscalls:sys_enter_* and sys_exit_* are called with. */
struct call_enter {
	__u64 unused;
	__s32 nr; /* four bytes, and garbage behind them */
	__u64 arguments[6];
};

struct call_exit {
	__u64 unused;
	__s32 nr;
	__s64 result;
};

struct call_arguments {
	__u64 fd;
	__u64 address;
};

/* The arguments of the latest call of each thread, for kernels whose programs cannot read them at
 * the end of the call. Written at the beginning of a call, read at its end. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct call_arguments);
} begun_calls SEC(".maps");

static __always_inline int remember_arguments(const struct call_enter *call)
{
	struct call_arguments arguments = { call->arguments[0], call->arguments[1] };
	__u64 thread = bpf_get_current_pid_tgid();

	bpf_map_update_elem(&begun_calls, &thread, &arguments, BPF_ANY);
	return 0;
}

/* Reads the arguments of the call that ends now, and reports whether they are known. The call's
 * registers keep them to its end. */
static __always_inline bool get_arguments(struct call_arguments *to)
{
	const struct call_arguments *noted;
	const void *regs;
	__u64 thread;

	if (have_call_registers) {
		regs = (const void *)bpf_task_pt_regs(bpf_get_current_task_btf());
		to->fd = call_argument(regs, 0);
		to->address = call_argument(regs, 1);
		return true;
	}
	thread = bpf_get_current_pid_tgid();
	noted = bpf_map_lookup_elem(&begun_calls, &thread);
	if (noted)
		*to = *noted;
	return noted;
}

/* The parts of sockaddr_in and sockaddr_in6 that matter. */
struct sockaddr_copy {
	__u16 family;
	__be16 port;
	__be32 word; /* AF_INET: the address; AF_INET6: the flow information */
	struct in6_addr addr;
};

static __always_inline bool read_sockaddr(struct sockaddr_copy *copy, const void *from)
{
	if (bpf_probe_read_user(copy, 8, from))
		return false;
	return copy->family != AF_INET6 || !bpf_probe_read_user(&copy->addr, 16, from + 8);
}

static __always_inline void put_sockaddr(__u64 to[2], const struct sockaddr_copy *addr)
{
	if (addr->family == AF_INET6)
		__builtin_memcpy(to, &addr->addr, 16);
	else
		put_ipv4(to, addr->word);
}

#endif
