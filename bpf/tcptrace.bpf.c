// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Copyright (c) 2026 The tcptrace authors */
/* The programs of a trace. Each is attached to one tracepoint, drops what the filter does not want,
 * and writes the rest to user space through one ring buffer. They keep state for three purposes
 * only: to know whether an event is reported (take_over.h), who closed a socket and whose it is (exec.h,
 * mptcp.h, cgroup.h), and what some kernels do not say (timewait_by_ends.h, call.h). gen.go describes
 * the way of a record from here. */
#include "types.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

#include "kernel.h"
#include "event.h"
#include "compat.h"
#include "socket.h"
#include "segment.h"
#include "filter.h"
#include "process.h"
#include "call.h"
#include "cgroup.h"
#include "exec.h"
#include "mptcp.h"
#include "ring.h"
#include "family.h"
#include "record.h"
#include "stack.h"
#include "take_over.h"
#include "timewait_by_ends.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* The functions of the timers of timewait and request sockets, tw_timer_handler() and
 * reqsk_timer_handler(): a timer with one of them belongs to such a socket. Set once by the
 * loader. */
const volatile __u64 timewait_function;
const volatile __u64 request_function;

/* Reports whether our FIN has not left yet. At the change that sends it, it is not in write_seq yet:
 * then this reports whether it may have to wait, behind data or because the peer's window is full.
 * At each later change snd_nxt is write_seq if the FIN left at least once. */
static __always_inline bool fin_unsent(const struct tcp_sock *tp, int from)
{
	if (tp->snd_nxt != tp->write_seq)
		return true;
	return (from == TCP_ESTABLISHED || from == TCP_CLOSE_WAIT || from == TCP_SYN_RECV) &&
	       tp->snd_una + tp->snd_wnd == tp->snd_nxt;
}

/* Reports whether a change is between states in which our FIN is sent or waits to be sent. */
static __always_inline bool concerns_fin(int from, int to)
{
	return to == TCP_FIN_WAIT1 || to == TCP_LAST_ACK || from == TCP_FIN_WAIT1 || from == TCP_CLOSING ||
	       from == TCP_LAST_ACK;
}

/* Writes the initial sequence numbers, which are set once the handshake ends. */
static __always_inline void put_numbers(struct event *e, const struct tcp_sock *tp)
{
	e->flags |= SEQUENCED;
	e->isn_local = tp->snd_una - (__u32)tp->bytes_acked;
	e->isn_remote = tp->rcv_nxt - (__u32)tp->bytes_received - 1;
}

/* Reports whether a change says what became of the data: somebody closes, or the socket ends. */
static __always_inline bool concerns_data(int from, int to)
{
	return from == TCP_ESTABLISHED || from == TCP_CLOSE_WAIT || to == TCP_CLOSING || to == TCP_CLOSE;
}

/* Writes which process made a change, if one did. A subflow of MPTCP is closed under a lock that
 * has no owner. */
static __always_inline void put_actor(struct event *e, struct sock *sk, const struct tcp_sock *tp, int from, int to)
{
	if (is_close(from, to) && tp && is_subflow(tp))
		put_mptcp_closer(e, tp);
	if (e->flags & BY_PROCESS)
		return;
	if (sk->sk_lock.owned && made_by_call(sk, from, to))
		put_process(e, sk);
	else if (to == TCP_CLOSE && !sk->sk_err && is_unaccepted(sk) && !(tp && is_subflow(tp)))
		put_closer_of_listener(e);
}

/* MPTCP sockets, which have protocol 262, come through the same tracepoint: they are not reported,
 * but show who closes. */
static __always_inline void report_transition(struct sock *sk, int from, int to, __u16 how)
{
	struct tcp_sock *tp;
	struct event *e;
	__u16 local;

	if (sk->sk_protocol != IPPROTO_TCP) {
		note_mptcp_closer(sk, from, to);
		return;
	}
	local = to == TCP_CLOSE ? last_port(sk) : sk->__sk_common.skc_num;
	if (!local && !unchosen_port_wanted(sk->__sk_common.skc_net.net, bpf_ntohs(sk->__sk_common.skc_dport)))
		return;
	e = socket_event(TRANSITION, sk, local);
	if (!e)
		return;
	e->flags = how;
	e->from = from;
	e->to = to;
	put_options(e, &sk->__sk_common);
	tp = bpf_skc_to_tcp_sock(sk);
	put_actor(e, sk, tp, from, to);
	if (!sk->sk_socket)
		e->flags |= ORPHAN;
	if (tp && concerns_fin(from, to) && fin_unsent(tp, from))
		e->flags |= FIN_UNSENT;
	if (tp && (from == TCP_SYN_RECV || from == TCP_SYN_SENT) && to != TCP_CLOSE)
		put_numbers(e, tp);
	if (tp && concerns_data(from, to))
		put_counters(e, tp, sk->__sk_common.skc_flags);
	if (to == TCP_CLOSE) {
		if (timewait_table_full(sk->__sk_common.skc_net.net))
			e->flags |= TIMEWAIT_FULL;
		if (tp)
			e->silent = BPF_CORE_READ_BITFIELD(tp, repair);
	} else {
		e->cgroup = cgroup_id(sk);
	}
	if (!(tp && is_subflow(tp)))
		put_stack(e);
	if ((to == TCP_SYN_SENT || to == TCP_LISTEN) && e->flags & BY_PROCESS)
		report_stack_process();
	submit_event(e);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(state_changed, struct sock *sk, int from, int to)
{
	report_transition(sk, from, to, 0);
	mark_reported(TRANSITION, sk, from, to);
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(state_changed_next, struct sock *sk, int from, int to)
{
	if (take_over_unreported(TRANSITION, sk, from, to))
		report_transition(sk, from, to, AGAIN);
	return 0;
}

#define TIMER_OWNER(timer, type, member) ((void *)(timer) - bpf_core_field_offset(struct type, member))

static __always_inline int report_timewait_timer(enum kind kind, struct timer_list *timer, __u64 argument)
{
	void *tw = TIMER_OWNER(timer, inet_timewait_sock, tw_timer);
	const struct inet_timewait_sock *seen;
	struct socket_copy copy;
	struct event *e;

	if (!copy_socket(&copy, tw, bpf_core_field_offset(struct inet_timewait_sock, tw_timer)))
		return 0;
	seen = (const void *)&copy;
	if (kind == TIMEWAIT_ARMED && !have_dropped_socket && seen->tw_substate == TCP_FIN_WAIT2)
		remember_timewait(&seen->__tw_common, tw);
	e = copied_event(kind, tw, &seen->__tw_common);
	if (!e)
		return 0;
	e->to = seen->tw_substate;
	if (kind == TIMEWAIT_ARMED) {
		__u64 now = bpf_jiffies64();

		e->left = timer_bucket(timer->expires, argument, now) - now;
	}
	if (kind == TIMEWAIT_STOPPED) {
		e->pid = bpf_get_current_pid_tgid() >> 32;
		if (netns_dying(seen->__tw_common.skc_net.net))
			e->flags |= NETNS_DYING;
		if (may_destroy())
			e->call = DESTROY_CALL;
	}
	submit_event(e);
	return 0;
}

static __always_inline int report_request_timer(enum kind kind, struct timer_list *timer)
{
	void *req = TIMER_OWNER(timer, request_sock, rsk_timer);
	struct socket_copy copy;
	struct event *e;

	if (!copy_socket(&copy, req, bpf_core_type_size(struct sock_common)))
		return 0;
	e = copied_event(kind, req, (const void *)&copy);
	if (!e)
		return 0;
	if (kind == SYN_RECEIVED) {
		const struct sock *listener = ((const struct sock_common *)&copy)->skc_listener;

		e->listener = (__u64)listener;
		e->cookie = BPF_CORE_READ(listener, __sk_common.skc_cookie.counter);
	}
	if (kind == REQUEST_STOPPED && may_destroy())
		e->call = DESTROY_CALL;
	submit_event(e);
	return 0;
}

SEC("tp_btf/timer_start")
int BPF_PROG(timer_started, struct timer_list *timer, unsigned long argument)
{
	__u64 function = (__u64)timer->function;

	if (function == timewait_function)
		return report_timewait_timer(TIMEWAIT_ARMED, timer, argument);
	if (function == request_function)
		return report_request_timer(SYN_RECEIVED, timer);
	return 0;
}

SEC("tp_btf/timer_cancel")
int BPF_PROG(timer_stopped, struct timer_list *timer)
{
	__u64 function = (__u64)timer->function;

	if (function == timewait_function)
		return report_timewait_timer(TIMEWAIT_STOPPED, timer, 0);
	if (function == request_function)
		return report_request_timer(REQUEST_STOPPED, timer);
	return 0;
}

SEC("tp_btf/timer_expire_entry")
int BPF_PROG(timer_expired, struct timer_list *timer)
{
	__u64 function = (__u64)timer->function;

	if (function == timewait_function)
		return report_timewait_timer(TIMEWAIT_EXPIRED, timer, 0);
	if (function == request_function)
		return report_request_timer(REQUEST_EXPIRED, timer);
	return 0;
}

/* Writes what data a segment brought to a socket that has received all before a number, and whether its sender had
 * received the socket's FIN, which ends at another number. */
static __always_inline void put_late_segment(struct event *e, const struct segment *segment, const struct sk_buff *skb,
					     __u32 received, __u32 behind_fin)
{
	e->late_payload = new_payload(segment, skb, received);
	e->late_crossed = (__s32)(segment->acknowledges - behind_fin) < 0;
}

/* Reports a segment at a timewait socket. With ends, the socket must still have them: its memory may
 * be another socket's by now. */
static __always_inline int report_timewait_segment(const struct segment *segment, const struct sk_buff *skb,
						   const void *tw, const struct ends *ends)
{
	const struct inet_timewait_sock *seen;
	struct socket_copy copy;
	struct event *e;

	if (!copy_socket(&copy, tw, bpf_core_type_size(struct inet_timewait_sock)))
		return 0;
	seen = (const void *)&copy;
	if (seen->__tw_common.skc_state != TCP_TIME_WAIT)
		return 0;
	e = copied_event(SEGMENT_SWALLOWED, tw, &seen->__tw_common);
	if (!e)
		return 0;
	if (ends && !event_has_ends(e, ends)) {
		bpf_ringbuf_discard(e, 0);
		return 0;
	}
	e->to = seen->tw_substate;
	e->tcp_flags = segment->flags;
	put_late_segment(e, segment, skb, seen->__tw_common.skc_tw_rcv_nxt, seen->__tw_common.skc_tw_snd_nxt);
	e->left = queued_bucket(seen->tw_timer.expires, seen->tw_timer.flags) - bpf_jiffies64();
	submit_event(e);
	return 0;
}

/* Reports a received segment that belongs to no full or timewait socket. */
static __always_inline int report_segment(enum kind kind, const struct segment *segment, __u32 netns)
{
	struct event *e;

	if (!ports_wanted(segment->local_port, segment->remote_port))
		return 0;
	if (filter_netns && netns != filter_netns)
		return 0;
	e = reserve_event(kind);
	if (!e)
		return 0;
	e->sock = 0;
	e->cookie = 0;
	e->netns = netns;
	e->local_port = segment->local_port;
	e->remote_port = segment->remote_port;
	put_segment_addresses(e->local, e->remote, segment);
	submit_event(e);
	return 0;
}

static __always_inline int report_dropped_reset(const struct segment *segment, __u32 netns)
{
	return segment->flags & TCP_RST ? report_segment(RESET_DROPPED, segment, netns) : 0;
}

/* A segment at a timewait socket, and a RST at a listener, are dropped after they had their effect.
 * The loader attaches this program or the next one. */
SEC("tp_btf/kfree_skb")
int BPF_PROG(segment_dropped, struct sk_buff *skb, void *location, int reason, struct sock *rx_sk)
{
	struct segment segment;

	if (!rx_sk)
		return 0;
	switch (rx_sk->__sk_common.skc_state) {
	case TCP_TIME_WAIT:
		return read_segment(&segment, skb) ? report_timewait_segment(&segment, skb, rx_sk, NULL) : 0;
	case TCP_LISTEN:
		if (read_segment(&segment, skb))
			return report_dropped_reset(&segment, rx_sk->__sk_common.skc_net.net->ns.inum);
	}
	return 0;
}

/* Without the socket at which a segment was dropped, the ends of the segment identify it. */
SEC("tp_btf/kfree_skb")
int BPF_PROG(any_dropped, struct sk_buff *skb)
{
	struct ends ends = {};
	struct segment segment;
	void *const *tw;

	if (!skb->dev || !is_segment(skb) || !read_segment(&segment, skb))
		return 0;
	ends.netns = skb->dev->nd_net.net->ns.inum;
	ends.local_port = segment.local_port;
	ends.remote_port = segment.remote_port;
	put_segment_addresses(ends.local, ends.remote, &segment);
	tw = bpf_map_lookup_elem(&timewait_by_ends, &ends);
	if (tw)
		return report_timewait_segment(&segment, skb, *tw, &ends);
	return report_dropped_reset(&segment, ends.netns);
}

/* Writes what is said of the segment that a RST answers. */
static __always_inline void put_answered(struct event *e, struct sock *sk, const struct sk_buff *skb)
{
	struct segment segment;
	struct tcp_sock *tp;

	if (!read_segment(&segment, skb))
		return;
	if (sk->__sk_common.skc_state == TCP_TIME_WAIT) {
		put_late_segment(e, &segment, skb, sk->__sk_common.skc_tw_rcv_nxt, sk->__sk_common.skc_tw_snd_nxt);
		return;
	}
	tp = bpf_skc_to_tcp_sock(sk);
	if (tp)
		put_late_segment(e, &segment, skb, tp->rcv_nxt, tp->write_seq);
}

/* Reports a RST that came, or that is sent. Then it answers a segment, or none. */
static __always_inline void report_reset(enum kind kind, struct sock *sk, const struct sk_buff *answered, __u16 how,
					 __u8 reason)
{
	struct event *e = socket_event(kind, sk, last_port(sk));

	if (!e)
		return;
	e->flags = how;
	e->from = sk->__sk_common.skc_state;
	e->reason = reason;
	e->late_payload = 0;
	e->late_crossed = 0;
	if (answered)
		put_answered(e, sk, answered);
	submit_event(e);
}

/* Reports a RST that answers a segment for which there is no connection. A listener's segment has lost
 * its device by then. */
static __always_inline void report_answered_reset(const struct sock *listener, const struct sk_buff *skb)
{
	const struct net *net = NULL;
	struct segment segment;

	if (!skb || !read_segment(&segment, skb))
		return;
	if (listener)
		net = listener->__sk_common.skc_net.net;
	else if (skb->dev)
		net = skb->dev->nd_net.net;
	if (net)
		report_segment(RESET_ANSWERED, &segment, net->ns.inum);
}

/* Returns why a RST is sent. If TCP_LINGER2 is below 0, the ACK of the FIN ends the connection after
 * close(): the kernel gives the reason of data after close() then, but leaves no error. */
static __always_inline __u64 reset_reason(struct sock *sk, __u64 reason)
{
	struct tcp_sock *tp;

	if (!sk || reason != bpf_core_enum_value(enum sk_rst_reason, SK_RST_REASON_TCP_ABORT_ON_DATA) || sk->sk_err)
		return reason;
	tp = bpf_skc_to_tcp_sock(sk);
	return tp && tp->linger2 < 0 ? bpf_core_enum_value(enum sk_rst_reason, SK_RST_REASON_TCP_ABORT_ON_LINGER)
				     : reason;
}

/* From 6.12 on the kernel also traces a RST that no socket sends. A RST for a request is traced with
 * the listener. An active RST does not answer a segment. */
static __always_inline void report_sent_reset(struct sock *sk, const struct sk_buff *skb, __u16 how, __u64 reason)
{
	if (!sk || sk->__sk_common.skc_state == TCP_LISTEN)
		report_answered_reset(sk, skb);
	if (!sk)
		return;
	report_reset(RESET_SENT, sk, skb, skb ? how : how | RESET_ACTIVE, reason);
}

SEC("tp_btf/tcp_send_reset")
int BPF_PROG(reset_sent, struct sock *sk, struct sk_buff *skb)
{
	const void *of = sk ? (void *)sk : skb;

	report_sent_reset(sk, skb, 0, have_reset_reason ? reset_reason(sk, ctx[2]) : 0);
	if (of)
		mark_reported(RESET_SENT, of, 0, 0);
	return 0;
}

SEC("tp_btf/tcp_send_reset")
int BPF_PROG(reset_sent_next, struct sock *sk, struct sk_buff *skb)
{
	const void *of = sk ? (void *)sk : skb;

	if (of && take_over_unreported(RESET_SENT, of, 0, 0))
		report_sent_reset(sk, skb, AGAIN, have_reset_reason ? reset_reason(sk, ctx[2]) : 0);
	return 0;
}

SEC("tp_btf/tcp_receive_reset")
int BPF_PROG(reset_received, struct sock *sk)
{
	report_reset(RESET_RECEIVED, sk, NULL, 0, 0);
	mark_reported(RESET_RECEIVED, sk, 0, 0);
	return 0;
}

SEC("tp_btf/tcp_receive_reset")
int BPF_PROG(reset_received_next, struct sock *sk)
{
	if (take_over_unreported(RESET_RECEIVED, sk, 0, 0))
		report_reset(RESET_RECEIVED, sk, NULL, AGAIN, 0);
	return 0;
}

/* A task gets another name, as in execve(). */
SEC("tp_btf/task_rename")
int BPF_PROG(task_renamed, struct task_struct *task)
{
	note_name(task);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(exec_done, struct task_struct *task)
{
	note_exec(task);
	return 0;
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(cgroup_made, struct cgroup *cgroup, const char *path)
{
	note_cgroup(cgroup, path);
	return 0;
}

/* These two are attached if a command is traced. */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(process_forked, struct task_struct *parent, struct task_struct *child)
{
	note_fork(parent, child);
	return 0;
}

SEC("tp_btf/sched_process_free")
int BPF_PROG(process_freed, struct task_struct *task)
{
	note_free(task);
	return 0;
}

/* Reports that accept() gave a socket to this process. */
static __always_inline int report_accepted(const struct call_exit *call)
{
	const struct sock *sk;
	struct common_copy copy;
	struct event *e;

	if (call->result < 0)
		return 0;
	sk = tcp_socket_of_descriptor(call->result);
	if (!sk || !copy_common(&copy, sk))
		return 0;
	e = copied_event(ACCEPTED, sk, (const void *)&copy);
	if (!e)
		return 0;
	put_caller(e);
	report_stack_process();
	submit_event(e);
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_accept")
int accept_done(struct call_exit *call)
{
	return report_accepted(call);
}

SEC("tracepoint/syscalls/sys_exit_accept4")
int accept4_done(struct call_exit *call)
{
	return report_accepted(call);
}

/* Reports a failed bind(), listen() or connect(), with the address that it asked for and the options
 * of its socket. */
static __always_inline int report_failed_call(enum kind kind, const struct call_exit *call)
{
	struct call_arguments arguments;
	struct sockaddr_copy asked = {};
	const struct sock_common *seen;
	struct port_range range;
	const struct sock *sk;
	struct common_copy copy;
	struct event *e;

	if (!get_arguments(&arguments))
		return 0;
	sk = tcp_socket_of_descriptor(arguments.fd);
	if (!sk || !copy_common(&copy, sk))
		return 0;
	seen = (const void *)&copy;
	if (kind != LISTEN_FAILED && !read_sockaddr(&asked, (const void *)arguments.address))
		return 0;
	e = call_event(kind, sk, seen, &asked);
	if (!e)
		return 0;
	e->error = -call->result;
	range = socket_port_range(sk);
	e->first_port = range.first;
	e->last_port = range.last;
	e->cgroup = cgroup_id(sk);
	put_options(e, seen);
	put_caller(e);
	submit_event(e);
	return 0;
}

/* These three are attached if programs cannot read a call's arguments at its end. */
SEC("tracepoint/syscalls/sys_enter_bind")
int bind_begun(struct call_enter *call)
{
	return remember_arguments(call);
}

SEC("tracepoint/syscalls/sys_enter_listen")
int listen_begun(struct call_enter *call)
{
	return remember_arguments(call);
}

SEC("tracepoint/syscalls/sys_enter_connect")
int connect_begun(struct call_enter *call)
{
	return remember_arguments(call);
}

SEC("tracepoint/syscalls/sys_exit_bind")
int bind_done(struct call_exit *call)
{
	return call->result < 0 ? report_failed_call(BIND_FAILED, call) : 0;
}

SEC("tracepoint/syscalls/sys_exit_listen")
int listen_done(struct call_exit *call)
{
	return call->result < 0 ? report_failed_call(LISTEN_FAILED, call) : 0;
}

/* Other errors come from the network, or from a socket that is connected already. */
SEC("tracepoint/syscalls/sys_exit_connect")
int connect_done(struct call_exit *call)
{
	if (call->result != -EADDRNOTAVAIL && call->result != -EADDRINUSE)
		return 0;
	return report_failed_call(CONNECT_FAILED, call);
}
