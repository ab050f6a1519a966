/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* What a process asked of a system call for a port, read at the call's end. */
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
