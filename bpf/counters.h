/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Copyright (c) 2026 The tcptrace authors */
/* What a full socket has counted since it was made, and its cgroup. */
#ifndef TCPTRACE_COUNTERS_H
#define TCPTRACE_COUNTERS_H

#include "compat.h"
#include "kernel.h"

/* Returns the bytes of payload among those received: the kernel counts the peer's FIN as a byte. */
static __always_inline __u64 received_payload(__u64 bytes, unsigned long flags)
{
	return bytes && flags & 1 << SOCK_DONE ? bytes - 1 : bytes;
}

/* Returns how many bytes of payload no process has read, of those from copied_seq to rcv_nxt: the peer's FIN counts
 * as one. */
static __always_inline __u32 unread_payload(__u32 unread, unsigned long flags)
{
	return unread && flags & 1 << SOCK_DONE ? unread - 1 : unread;
}

/* Reports whether a socket carries an MPTCP connection: the process has the MPTCP socket open, not
 * this one. */
static __always_inline bool carries_mptcp(const struct tcp_sock *tp)
{
	const struct tcp_sock___mptcp *flagged = (const void *)tp;

	return bpf_core_field_exists(flagged->is_mptcp) && BPF_CORE_READ(flagged, is_mptcp);
}

/* Returns the id of the socket's cgroup (version 2), which is the inode number of the cgroup's
 * directory, or 0 if it is unknown. */
static __always_inline __u64 cgroup_id(const struct sock *sk)
{
	if (!have_cgroups)
		return 0;
	return BPF_CORE_READ((const struct sock_cgroup_data___pointer *)&sk->sk_cgrp_data, cgroup, kn, id);
}

#endif
