/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Copyright (c) 2026 The tcptrace authors */
/* What differs from kernel to kernel. A feature decides each time, never a version number. The
 * loader sets the constants once. */
#ifndef TCPTRACE_COMPAT_H
#define TCPTRACE_COMPAT_H

#include "kernel.h"

/* bpf_get_socket_cookie() can be called, and gives a socket its cookie (5.12). Before, a socket
 * has a cookie only if somebody asked for it. */
const volatile bool have_cookies;

/* bpf_task_pt_regs() returns the registers of the current system call (5.15). */
const volatile bool have_call_registers;

/* close() releases the file before it returns (from 6.6; known from 6.8 on). Older kernels release it
 * when the task is on its way back to user space. */
const volatile bool have_prompt_close;

/* timer_start has the time at which the timer's bucket fires (6.8). */
const volatile bool have_timer_bucket;

/* A socket points to its cgroup (5.15); before, the pointer shares its word with flags. */
const volatile bool have_cgroups;

/* kfree_skb has the socket at which a segment was dropped (6.12). */
const volatile bool have_dropped_socket;

/* tcp_send_reset has the reason (6.12). */
const volatile bool have_reset_reason;

/* bpf_get_current_task_btf() came with 5.11. */
static __always_inline struct task_struct *current_task(void)
{
	return (struct task_struct *)bpf_get_current_task();
}

/* Reports whether the last reference to a file is gone, as it is while close(2)
 * or the end of a process releases the socket behind it. From 6.13 on the
 * count is a file_ref_t, whose dead values are negative (include/linux/file_ref.h). */
static __always_inline bool file_released(struct file *file)
{
	struct file___ref *counted = (void *)file;

	if (bpf_core_field_exists(counted->f_ref))
		return counted->f_ref.refcnt.counter < 0;
	return ((struct file___f_count *)file)->f_count.counter == 0;
}

/* Returns when the bucket of a timer fires. The further away the expiry, the higher the level of
 * the timer wheel (kernel/time/timer.c): a level has 64 buckets, and each level is 8 times as
 * coarse as the one below. A timer fires with its bucket, never before its expiry. */
static __always_inline __u64 wheel_bucket(__u64 expires, __u64 now)
{
	__u64 delta = expires - now;
	__u32 shift = 0;

	for (int level = 1; level < 9; level++)
		if (delta >= 63ULL << ((level - 1) * 3))
			shift = level * 3;
	return ((expires >> shift) + 1) << shift;
}

/* Returns when a timer fires that was just started. The second argument of timer_start is the
 * expiry of the bucket, or, on older kernels, of the timer. */
static __always_inline __u64 timer_bucket(__u64 expires, __u64 argument, __u64 now)
{
	return have_timer_bucket ? argument : wheel_bucket(expires, now);
}

/* Returns when a timer fires that is in the wheel. The upper bits of its flags
 * (TIMER_ARRAYSHIFT) have the number of its bucket, and with it the level. */
static __always_inline __u64 queued_bucket(__u64 expires, __u32 flags)
{
	__u32 shift = (flags >> 22 >> 6) * 3;

	return ((expires >> shift) + 1) << shift;
}

/* Reports whether net.ipv4.tcp_max_tw_buckets is reached: inet_twsk_alloc() then makes no
 * further timewait socket. */
static __always_inline bool timewait_table_full(struct net *net)
{
	struct inet_timewait_death_row *row = &net->ipv4.tcp_death_row;
	int used;

	if (bpf_core_field_size(net->ipv4.tcp_death_row) == sizeof(row))
		row = BPF_CORE_READ((struct netns_ipv4___pointer *)&net->ipv4, tcp_death_row);
	if (bpf_core_field_exists(((struct inet_timewait_death_row___ref *)row)->tw_refcount))
		used = BPF_CORE_READ((struct inet_timewait_death_row___ref *)row, tw_refcount.refs.counter) - 1;
	else
		used = BPF_CORE_READ((struct inet_timewait_death_row___count *)row, tw_count.counter);
	return used >= BPF_CORE_READ(row, sysctl_max_tw_buckets);
}

struct port_range {
	__u16 first;
	__u16 last;
};

/* Returns the ports that the kernel chooses from, or all ports if its settings cannot be read. */
static __always_inline struct port_range local_port_range(struct net *net)
{
	struct netns_ipv4___ports *one = (void *)&net->ipv4;
	struct netns_ipv4___two *two = (void *)&net->ipv4;

	if (bpf_core_field_exists(one->ip_local_ports.range))
		return (struct port_range){ one->ip_local_ports.range, one->ip_local_ports.range >> 16 };
	if (bpf_core_field_exists(two->ip_local_ports.range))
		return (struct port_range){ two->ip_local_ports.range[0], two->ip_local_ports.range[1] };
	return (struct port_range){ 0, 65535 };
}

/* Returns the ports that a socket may choose from (IP_LOCAL_PORT_RANGE); 0 for what is not set. */
static __always_inline struct port_range socket_port_range(const struct sock *sk)
{
	const struct inet_sock___two_ports *two = (const void *)sk;
	const struct inet_sock___ports *one = (const void *)sk;
	__u32 both;

	if (bpf_core_field_exists(two->local_port_range.lo))
		return (struct port_range){ BPF_CORE_READ(two, local_port_range.lo),
					    BPF_CORE_READ(two, local_port_range.hi) };
	if (!bpf_core_field_exists(one->local_port_range))
		return (struct port_range){};
	both = BPF_CORE_READ(one, local_port_range);
	return (struct port_range){ both, both >> 16 };
}

/* Reports whether the last user of a network namespace is gone, as it is while the kernel removes
 * the namespace's timewait sockets. */
static __always_inline bool netns_dying(struct net *net)
{
	if (bpf_core_field_exists(((struct ns_common___ref *)&net->ns)->__ns_ref))
		return !BPF_CORE_READ((struct ns_common___ref *)&net->ns, __ns_ref.refs.counter);
	if (bpf_core_field_exists(((struct ns_common___count *)&net->ns)->count))
		return !BPF_CORE_READ((struct ns_common___count *)&net->ns, count.refs.counter);
	return !BPF_CORE_READ((struct net___count *)net, count.refs.counter);
}

#endif
