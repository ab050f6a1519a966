/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Copyright (c) 2026 The tcptrace authors */
/* Records about sockets: full sockets are read by the verifier's typed pointers, others from a
 * copy. */
#ifndef TCPTRACE_RECORD_H
#define TCPTRACE_RECORD_H

#include "call.h"
#include "compat.h"
#include "counters.h"
#include "event.h"
#include "filter.h"
#include "kernel.h"
#include "ring.h"
#include "socket.h"

/* Returns a socket's local port, even if the socket has already released it on its way to CLOSE:
 * skc_num is 0 then, but the source port of its segments stays. */
static __always_inline __u16 last_port(struct sock *sk)
{
	__u16 port = sk->__sk_common.skc_num;
	struct tcp_sock *tp;

	if (port || sk->__sk_common.skc_state == TCP_TIME_WAIT)
		return port;
	tp = bpf_skc_to_tcp_sock(sk);
	return tp ? bpf_ntohs(tp->inet_conn.icsk_inet.inet_sport) : 0;
}

static __always_inline bool socket_wanted(const struct sock_common *sk, __u16 local, __u16 remote)
{
	if (filter_netns && sk->skc_net.net->ns.inum != filter_netns)
		return false;
	return ports_wanted(local, remote);
}

/* Begins a record about a full socket with this local port. It returns NULL if the filter does not
 * want it, or if the ring is full. */
static __always_inline struct event *socket_event(enum kind kind, struct sock *sk, __u16 local)
{
	__u16 remote = bpf_ntohs(sk->__sk_common.skc_dport);
	struct event *e;

	if (!socket_wanted(&sk->__sk_common, local, remote))
		return NULL;
	e = reserve_event(kind);
	if (!e)
		return NULL;
	e->sock = (__u64)sk;
	e->cookie = have_cookies ? bpf_get_socket_cookie(sk) : sk->__sk_common.skc_cookie.counter;
	e->netns = sk->__sk_common.skc_net.net->ns.inum;
	e->local_port = local;
	e->remote_port = remote;
	e->error = sk->sk_err;
	put_addresses(e->local, e->remote, &sk->__sk_common);
	return e;
}

/* Writes what a socket has counted, as its state changes. What waits to be sent counts as unacknowledged where our FIN
 * has to wait for it. */
static __always_inline void put_counters(struct event *e, const struct tcp_sock *tp, unsigned long sk_flags)
{
	__u32 now = bpf_jiffies64();
	__u32 end = e->to == TCP_FIN_WAIT1 || e->to == TCP_LAST_ACK ? tp->write_seq : tp->snd_nxt;

	e->flags |= COUNTED;
	e->bytes_sent = tp->bytes_sent - tp->bytes_retrans;
	e->bytes_received = received_payload(tp->bytes_received, sk_flags);
	e->retransmits = tp->total_retrans;
	e->idle_sent = now - tp->lsndtime;
	e->idle_received = now - tp->inet_conn.icsk_ack.lrcvtime;
	e->unacknowledged = end - tp->snd_una;
	e->unread = unread_payload(tp->rcv_nxt - tp->copied_seq, sk_flags);
}

/* Writes the options that decide whether another socket can use the same port. */
static __always_inline void put_options(struct event *e, const struct sock_common *sk)
{
	if (BPF_CORE_READ_BITFIELD(sk, skc_reuse))
		e->flags |= REUSEADDR;
	if (BPF_CORE_READ_BITFIELD(sk, skc_reuseport))
		e->flags |= REUSEPORT;
	if (BPF_CORE_READ_BITFIELD(sk, skc_ipv6only))
		e->flags |= V6ONLY;
	if (sk->skc_family == AF_INET6)
		e->flags |= IPV6;
	e->interface = sk->skc_bound_dev_if;
}

/* Begins a record about a copied socket with these ports, or returns NULL. */
static __always_inline struct event *copied_event_with_ports(enum kind kind, const void *address,
							     const struct sock_common *sk, __u16 local, __u16 remote)
{
	struct net *net = sk->skc_net.net;
	struct event *e;
	__u32 netns;

	if (!ports_wanted(local, remote))
		return NULL;
	netns = BPF_CORE_READ(net, ns.inum);
	if (filter_netns && netns != filter_netns)
		return NULL;
	e = reserve_event(kind);
	if (!e)
		return NULL;
	e->sock = (__u64)address;
	e->cookie = sk->skc_cookie.counter;
	e->netns = netns;
	e->local_port = local;
	e->remote_port = remote;
	put_addresses(e->local, e->remote, sk);
	return e;
}

static __always_inline struct event *copied_event(enum kind kind, const void *address, const struct sock_common *sk)
{
	return copied_event_with_ports(kind, address, sk, sk->skc_num, bpf_ntohs(sk->skc_dport));
}

/* Begins a record about a failed call on a copied socket, or returns NULL. */
static __always_inline struct event *call_event(enum kind kind, const void *address, const struct sock_common *sk,
						const struct sockaddr_copy *asked)
{
	__u16 local = kind == BIND_FAILED ? bpf_ntohs(asked->port) : sk->skc_num;
	__u16 remote = kind == CONNECT_FAILED ? bpf_ntohs(asked->port) : 0;
	struct event *e = copied_event_with_ports(kind, address, sk, local, remote);

	if (!e)
		return NULL;
	if (kind == BIND_FAILED)
		put_sockaddr(e->local, asked);
	if (kind == CONNECT_FAILED)
		put_sockaddr(e->remote, asked);
	return e;
}

#endif
