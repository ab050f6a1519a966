/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Copyright (c) 2026 The tcptrace authors */
/* The timewait sockets in FIN_WAIT2, by their ends: for kernels whose kfree_skb does not have the
 * socket at which a segment was dropped. */
#ifndef TCPTRACE_TIMEWAIT_BY_ENDS_H
#define TCPTRACE_TIMEWAIT_BY_ENDS_H

#include "event.h"
#include "filter.h"
#include "kernel.h"
#include "socket.h"

/* The ends of a connection in its network namespace. */
struct ends {
	__u64 local[2];
	__u64 remote[2];
	__u16 local_port;
	__u16 remote_port;
	__u32 netns;
};

/* The kernel address of each timewait socket that began in FIN_WAIT2. Written by timer_started,
 * read by any_dropped. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct ends);
	__type(value, void *);
} timewait_by_ends SEC(".maps");

static __always_inline void remember_timewait(const struct sock_common *sk, void *tw)
{
	struct ends ends = { .local_port = sk->skc_num, .remote_port = bpf_ntohs(sk->skc_dport) };
	struct net *net = sk->skc_net.net;

	if (!ports_wanted(ends.local_port, ends.remote_port))
		return;
	ends.netns = BPF_CORE_READ(net, ns.inum);
	put_addresses(ends.local, ends.remote, sk);
	bpf_map_update_elem(&timewait_by_ends, &ends, &tw, BPF_ANY);
}

static __always_inline bool event_has_ends(const struct event *e, const struct ends *ends)
{
	return e->netns == ends->netns && e->local_port == ends->local_port && e->remote_port == ends->remote_port &&
	       e->local[0] == ends->local[0] && e->local[1] == ends->local[1] && e->remote[0] == ends->remote[0] &&
	       e->remote[1] == ends->remote[1];
}

#endif
