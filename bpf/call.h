/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* What a process asked of a system call, read at the call's end: the registers still
 * have the arguments, and so one tracepoint a call is enough. */
#ifndef TCPTRACE_CALL_H
#define TCPTRACE_CALL_H

#include "event.h"
#include "kernel.h"
#include "process.h"
#include "socket.h"

/* What a tracepoint syscalls:sys_exit_* is called with. */
struct call_exit {
	__u64 unused;
	__s32 nr; /* four bytes, and garbage behind them */
	__s64 result;
};

/* The nth argument of the current system call, as amd64 and arm64 keep it. */
static __always_inline __u64 call_argument(int n)
{
	const void *regs = (const void *)bpf_task_pt_regs(bpf_get_current_task_btf());

	if (bpf_core_field_exists(struct pt_regs___amd64, orig_ax)) {
		const struct pt_regs___amd64 *amd64 = regs;

		return n == 0 ? BPF_CORE_READ(amd64, di) : BPF_CORE_READ(amd64, si);
	}
	if (bpf_core_field_exists(struct pt_regs___arm64, orig_x0)) {
		const struct pt_regs___arm64 *arm64 = regs;

		return n == 0 ? BPF_CORE_READ(arm64, orig_x0) : BPF_CORE_READ(arm64, regs[1]);
	}
	return 0;
}

/* The TCP socket behind one of the process's file descriptors, or NULL. */
static __always_inline const struct sock *tcp_socket_of(__u32 fd)
{
	struct fdtable *table = bpf_get_current_task_btf()->files->fdt;
	struct file *file;
	struct socket *socket;
	struct sock *sk;

	if (fd >= table->max_fds || bpf_probe_read_kernel(&file, sizeof(file), table->fd + fd) || !file)
		return NULL;
	socket = BPF_CORE_READ(file, private_data);
	/* Any file may be here; only a socket's has a struct socket that leads back to it. */
	if (!socket || BPF_CORE_READ(socket, file) != file)
		return NULL;
	sk = BPF_CORE_READ(socket, sk);
	return sk ? tcp_of(sk) : NULL;
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
