/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Copyright (c) 2026 The tcptrace authors */
/* Which sockets the trace is about. The loader sets the constants once, and the verifier removes
 * the checks of filters that are not used: they cost nothing. */
#ifndef TCPTRACE_FILTER_H
#define TCPTRACE_FILTER_H

#include "compat.h"
#include "event.h"
#include "kernel.h"

/* A set of ports has one bit for each: bit port%64 of word port/64. */
#define PORT_WORDS 1024

const volatile bool filter_any_port;
const volatile bool filter_local_port;
const volatile bool filter_remote_port;
const volatile __u64 any_ports[PORT_WORDS];
const volatile __u64 local_ports[PORT_WORDS];
const volatile __u64 remote_ports[PORT_WORDS];

/* The first and the last of any_ports, and of local_ports. */
const volatile __u16 any_first, any_last;
const volatile __u16 local_first, local_last;

/* A prefix of addresses, on either side; IPv4 as ::ffff:a.b.c.d. */
const volatile bool filter_host;
const volatile __u64 host_addr[2];
const volatile __u64 host_mask[2];

/* 4, 6, or 0 for both. */
const volatile __u8 filter_family;

/* The inode number of the one network namespace, or 0 for all. */
const volatile __u32 filter_netns;

#define HAS_PORT(set, port) ((set)[(__u16)(port) >> 6] >> ((port) & 63) & 1)

/* A local port that is not chosen yet may become one that is wanted: such a record passes, and
 * user space decides when the port is known. The same is true for the remote end, which up to 6.12
 * is still empty at LISTEN>SYN_RECV. */
static __always_inline bool local_port_wanted(const volatile __u64 *set, __u16 port)
{
	return !port || HAS_PORT(set, port);
}

static __always_inline bool ports_wanted(__u16 local, __u16 remote)
{
	if (filter_any_port && !local_port_wanted(any_ports, local) && !HAS_PORT(any_ports, remote))
		return false;
	if (filter_local_port && !local_port_wanted(local_ports, local))
		return false;
	if (filter_remote_port && remote && !HAS_PORT(remote_ports, remote))
		return false;
	return true;
}

/* Reports whether a local port that the kernel is about to choose may be one that is wanted. */
static __always_inline bool unchosen_port_wanted(struct net *net, __u16 remote)
{
	struct port_range range;

	if (!filter_any_port && !filter_local_port)
		return true;
	range = local_port_range(net);
	if (filter_any_port && !HAS_PORT(any_ports, remote) && (any_last < range.first || any_first > range.last))
		return false;
	return !filter_local_port || (local_last >= range.first && local_first <= range.last);
}

static __always_inline bool host_contains(const __u64 addr[2])
{
	return (addr[0] & host_mask[0]) == host_addr[0] && (addr[1] & host_mask[1]) == host_addr[1];
}

static __always_inline bool is_ipv4(const __u64 addr[2])
{
	return !addr[0] && (__u32)addr[1] == MAPPED_PREFIX;
}

static __always_inline bool addresses_wanted(const struct event *e)
{
	if (filter_family && (filter_family == 4) != is_ipv4(e->local))
		return false;
	if (filter_host && e->remote_port && !host_contains(e->local) && !host_contains(e->remote))
		return false;
	return true;
}

#endif
