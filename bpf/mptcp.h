/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Copyright (c) 2026 The tcptrace authors */
/* Finds the process that closes an MPTCP connection. A process has the MPTCP socket open, and closes
 * it. The TCP sockets that carry its bytes, the subflows, are closed later, mostly by a kworker. */
#ifndef TCPTRACE_MPTCP_H
#define TCPTRACE_MPTCP_H

#include "compat.h"
#include "counters.h"
#include "event.h"
#include "kernel.h"
#include "process.h"

/* The process that closed each MPTCP socket first, by the socket's kernel address: a record of the
 * close, which is not sent. It is written when a process closes an MPTCP socket, and read when one
 * of its subflows is closed. Only a new socket at the same address, and the map itself, delete it. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct event);
} mptcp_closers SEC(".maps");

/* Reports the same as carries_mptcp(), but costs less: the verifier knows the pointer. */
static __always_inline bool is_subflow(const struct tcp_sock *tp)
{
	const struct tcp_sock___mptcp *flagged = (const void *)tp;

	return bpf_core_field_exists(flagged->is_mptcp) && flagged->is_mptcp;
}

/* Reports whether a change closes a socket that was open. */
static __always_inline bool is_close(int from, int to)
{
	return to == TCP_FIN_WAIT1 || to == TCP_LAST_ACK ||
	       (to == TCP_CLOSE && (from == TCP_ESTABLISHED || from == TCP_CLOSE_WAIT));
}

/* Notes who closes an MPTCP socket, which goes from one state to another. */
static __always_inline void note_mptcp_closer(struct sock *sk, int from, int to)
{
	__u64 address = (__u64)sk;
	struct event closer = {};

	if (sk->sk_protocol != IPPROTO_MPTCP)
		return;
	if (to == TCP_SYN_SENT || to == TCP_SYN_RECV || to == TCP_ESTABLISHED || to == TCP_LISTEN) {
		bpf_map_delete_elem(&mptcp_closers, &address);
		return;
	}
	if (!sk->sk_lock.owned || !made_by_call(sk, from, to))
		return;
	closer.to = to;
	put_process(&closer, sk);
	if (!(closer.flags & BY_PROCESS))
		return;
	closer.cookie = have_cookies ? bpf_get_socket_cookie(sk) : 0;
	bpf_map_update_elem(&mptcp_closers, &address, &closer, BPF_NOEXIST);
}

/* Writes who closed the MPTCP connection that a subflow belongs to, if it is known. */
static __always_inline void put_mptcp_closer(struct event *e, const struct tcp_sock *subflow)
{
	const struct mptcp_subflow_context *context;
	const struct event *closer;
	struct sock *sk;
	__u64 address;

	if (!bpf_core_type_exists(struct mptcp_subflow_context))
		return;
	context = (const void *)subflow->inet_conn.icsk_ulp_data;
	sk = BPF_CORE_READ(context, conn);
	address = (__u64)sk;
	closer = bpf_map_lookup_elem(&mptcp_closers, &address);
	if (!closer || closer->cookie != (have_cookies ? BPF_CORE_READ(sk, __sk_common.skc_cookie.counter) : 0))
		return;
	e->pid = closer->pid;
	e->uid = closer->uid;
	__builtin_memcpy(e->comm, closer->comm, sizeof(e->comm));
	e->flags |= closer->flags;
	e->signal = closer->signal;
	e->call = closer->call;
}

#endif
