/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Copyright (c) 2026 The tcptrace authors */
/* What a full socket counts over its life, and whose it is. */
#ifndef TCPTRACE_COUNTERS_H
#define TCPTRACE_COUNTERS_H

#include "compat.h"
#include "kernel.h"

/* The kernel counts the peer's FIN as a byte received. */
static __always_inline __u64 received_payload(__u64 bytes, unsigned long flags)
{
	return bytes && flags & 1 << SOCK_DONE ? bytes - 1 : bytes;
}

/* Says whether an MPTCP connection goes by this socket: the process has that one's. */
static __always_inline bool carries_mptcp(const struct tcp_sock *tp)
{
	const struct tcp_sock___mptcp *flagged = (const void *)tp;

	return bpf_core_field_exists(flagged->is_mptcp) && BPF_CORE_READ(flagged, is_mptcp);
}

/* The id of the socket's cgroup of version 2, which is the inode number of its
 * directory. */
static __always_inline __u64 cgroup_id(const struct sock *sk)
{
	if (!have_cgroups)
		return 0;
	return BPF_CORE_READ((const struct sock_cgroup_data___pointer *)&sk->sk_cgrp_data, cgroup, kn, id);
}

#endif
