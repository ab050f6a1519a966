// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Copyright (c) 2026 The tcptrace authors */
/* The programs of a snapshot: iterators that write one struct found_socket for each socket of a
 * network namespace, and one for each file descriptor of a socket in any namespace. */
#include "types.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

#include "kernel.h"
#include "compat.h"
#include "found_socket.h"
#include "socket.h"
#include "counters.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* The ports to look for, set by internal/probe before each snapshot; 0: any. */
__u16 find_local_port;
__u16 find_remote_port;

/* Processes have the numbers of the reader's pid namespace, not of the first one. */
bool want_own_pids;

static __always_inline bool is_asked_for(const struct sock_common *sk)
{
	if (find_local_port && sk->skc_num != find_local_port)
		return false;
	return !find_remote_port || bpf_ntohs(sk->skc_dport) == find_remote_port;
}

/* Writes what full, timewait and request sockets have in common. */
static __always_inline void put_common(struct found_socket *f, const void *address, const struct sock_common *sk)
{
	struct net *net = sk->skc_net.net;

	f->time = bpf_ktime_get_boot_ns();
	f->sock = (__u64)address;
	f->cookie = sk->skc_cookie.counter;
	f->local_port = sk->skc_num;
	f->remote_port = bpf_ntohs(sk->skc_dport);
	f->netns = BPF_CORE_READ(net, ns.inum);
	f->state = sk->skc_state;
	f->interface = sk->skc_bound_dev_if;
	put_addresses(f->local, f->remote, sk);
	if (sk->skc_family == AF_INET6)
		f->flags |= IS_IPV6;
	if (BPF_CORE_READ_BITFIELD(sk, skc_ipv6only))
		f->flags |= IS_V6ONLY;
	if (BPF_CORE_READ_BITFIELD(sk, skc_reuse))
		f->flags |= HAS_REUSEADDR;
	if (BPF_CORE_READ_BITFIELD(sk, skc_reuseport))
		f->flags |= HAS_REUSEPORT;
}

/* Returns false if the timer is not set: the kernel is about to remove the socket. */
static __always_inline bool put_timewait(struct found_socket *f, const struct inet_timewait_sock *tw)
{
	if (!BPF_CORE_READ(tw, tw_timer.entry.pprev))
		return false;
	f->flags |= IS_TIMEWAIT;
	f->state = BPF_CORE_READ(tw, tw_substate);
	f->function = (__u64)BPF_CORE_READ(tw, tw_timer.function);
	f->left = queued_bucket(BPF_CORE_READ(tw, tw_timer.expires), BPF_CORE_READ(tw, tw_timer.flags)) -
		  bpf_jiffies64();
	return true;
}

/* Writes for how long data has been in flight. The unit of the kernel's stamp depends on its version. */
static __always_inline void put_waited(struct found_socket *f, const struct tcp_sock *tp)
{
	const struct tcp_sock___micros *micros = (const void *)tp;
	__u32 stamp = BPF_CORE_READ(tp, retrans_stamp);

	if (bpf_core_field_exists(micros->tcp_usec_ts) && BPF_CORE_READ_BITFIELD_PROBED(micros, tcp_usec_ts))
		f->waited = ((__u32)(bpf_ktime_get_ns() / 1000) - stamp) / 1000;
	else
		f->waited = (__u32)(bpf_ktime_get_ns() / 1000000) - stamp;
}

/* Writes when the timer of retransmissions and window probes fires. */
static __always_inline void put_timer(struct found_socket *f, const struct tcp_sock *tp, __u32 now)
{
	const struct inet_connection_sock___timer *here = (const void *)tp;
	const struct sock___timer *later = (const void *)tp;

	f->has_timer = 1;
	if (bpf_core_field_exists(here->icsk_retransmit_timer))
		f->next = (__u32)BPF_CORE_READ(here, icsk_retransmit_timer.expires) - now;
	else if (bpf_core_field_exists(later->tcp_retransmit_timer))
		f->next = (__u32)BPF_CORE_READ(later, tcp_retransmit_timer.expires) - now;
	else
		f->has_timer = 0;
}

/* Writes the values that decide for how long the kernel tries to send unacknowledged data. */
static __always_inline void put_sending(struct found_socket *f, const struct tcp_sock *tp)
{
	const struct inet_connection_sock___probes *probes = (const void *)tp;
	const struct inet_connection_sock___longest *longest = (const void *)tp;
	const struct netns_ipv4___retries *settings =
		(const void *)&BPF_CORE_READ((const struct sock *)tp, __sk_common.skc_net.net)->ipv4;
	__u32 now = bpf_jiffies64(), stamp;

	f->in_flight = BPF_CORE_READ(tp, snd_nxt) - BPF_CORE_READ(tp, snd_una);
	f->window = BPF_CORE_READ(tp, snd_wnd);
	f->rto = BPF_CORE_READ(tp, inet_conn.icsk_rto);
	if (bpf_core_field_exists(longest->icsk_rto_max))
		f->rto_max = BPF_CORE_READ(longest, icsk_rto_max);
	f->user_timeout = BPF_CORE_READ(tp, inet_conn.icsk_user_timeout);
	f->probes = BPF_CORE_READ(tp, inet_conn.icsk_probes_out);
	f->backoff = BPF_CORE_READ(tp, inet_conn.icsk_backoff);
	f->retries = BPF_CORE_READ_BITFIELD_PROBED(settings, sysctl_tcp_retries2);
	f->orphan_retries = BPF_CORE_READ_BITFIELD_PROBED(settings, sysctl_tcp_orphan_retries);
	if (f->timeouts)
		put_waited(f, tp);
	if (!bpf_core_field_exists(probes->icsk_probes_tstamp))
		return;
	stamp = BPF_CORE_READ(probes, icsk_probes_tstamp);
	if (stamp)
		f->probing = now - stamp;
}

static __always_inline void put_connection(struct found_socket *f, const struct tcp_sock *tp, unsigned long flags)
{
	__u32 now = bpf_jiffies64();

	f->unread = unread_payload(BPF_CORE_READ(tp, rcv_nxt) - BPF_CORE_READ(tp, copied_seq), flags);
	f->unsent = BPF_CORE_READ(tp, write_seq) - BPF_CORE_READ(tp, snd_una);
	f->timeouts = BPF_CORE_READ(tp, inet_conn.icsk_retransmits);
	f->retransmits = BPF_CORE_READ(tp, total_retrans);
	f->bytes_sent = BPF_CORE_READ(tp, bytes_sent) - BPF_CORE_READ(tp, bytes_retrans);
	f->bytes_received = received_payload(BPF_CORE_READ(tp, bytes_received), flags);
	f->idle_sent = now - BPF_CORE_READ(tp, lsndtime);
	f->idle_received = now - BPF_CORE_READ(tp, inet_conn.icsk_ack.lrcvtime);
	if (!f->unsent)
		return;
	put_sending(f, tp);
	put_timer(f, tp, now);
}

static __always_inline void put_full(struct found_socket *f, const struct sock *sk)
{
	unsigned long flags = BPF_CORE_READ(sk, __sk_common.skc_flags);

	if (flags & 1 << SOCK_DEAD)
		f->flags |= IS_DEAD;
	if (BPF_CORE_READ(sk, sk_socket) || carries_mptcp((const struct tcp_sock *)sk))
		f->flags |= HAS_PROCESS;
	f->uid = BPF_CORE_READ(sk, sk_uid.val);
	f->cgroup = cgroup_id(sk);
	if (f->state == TCP_LISTEN) {
		f->backlog = BPF_CORE_READ(sk, sk_ack_backlog);
		f->backlog_max = BPF_CORE_READ(sk, sk_max_ack_backlog);
		f->drops = BPF_CORE_READ(sk, sk_drops.counter);
	} else {
		put_connection(f, (const struct tcp_sock *)sk, flags);
	}
}

/* Writes a socket, and reports whether it was wanted. A socket without a port is not. */
static __always_inline bool put_socket(struct found_socket *f, const void *sk)
{
	struct common_copy copy;
	const struct sock_common *seen = (const void *)&copy;

	if (!copy_common(&copy, sk) || !seen->skc_num || !is_asked_for(seen))
		return false;
	put_common(f, sk, seen);
	switch (f->state) {
	case TCP_TIME_WAIT:
		return put_timewait(f, sk);
	case TCP_NEW_SYN_RECV:
		f->flags |= IS_REQUEST;
		f->state = TCP_SYN_RECV;
		f->function = (__u64)BPF_CORE_READ((const struct request_sock *)sk, rsk_timer.function);
		return true;
	}
	put_full(f, sk);
	return true;
}

/* How many sockets of an iteration the kernel did not show to the program. Some kernels sometimes do not run
 * the program for a socket, but number the socket all the same. Set to 0 and read by internal/probe. */
__u64 hidden_sockets;

/* The number of the next socket, and whether the iteration has shown its end. Set to 0 and false, and
 * read, by internal/probe. */
__u64 next_socket_number;
bool end_shown;

/* Counts the sockets that were not shown before this one. One may be shown again. */
static __always_inline void count_hidden(__u64 number)
{
	if (number < next_socket_number)
		return;
	hidden_sockets += number - next_socket_number;
	next_socket_number = number + 1;
}

/* Finds all sockets of the reader's network namespace, except those that are only bound. */
SEC("iter/tcp")
int sockets(struct bpf_iter__tcp *ctx)
{
	struct sock_common *sk = ctx->sk_common;
	struct found_socket f = { .fd = -1 };

	count_hidden(ctx->meta->seq_num);
	if (!sk) {
		end_shown = true;
		return 0;
	}
	if (have_cookies && sk->skc_state != TCP_TIME_WAIT && sk->skc_state != TCP_NEW_SYN_RECV)
		bpf_get_socket_cookie(sk); /* gives it a cookie if it has none */
	if (put_socket(&f, sk))
		bpf_seq_write(ctx->meta->seq, &f, sizeof(f));
	return 0;
}

/* What follows finds every file descriptor of every process for a TCP socket, in all network
 * namespaces.
 *
 * The kernel's iterator over files would be simpler, but it takes a reference to each file. If the
 * owner closes the file at that moment, it stays open until the reader's next system call: its port
 * is not free, and the reader is the one that closes it. This iterator takes no reference. It reads
 * the tables of descriptors as they are, and accepts what it read about a file only if the file is
 * still in its place afterwards. */

/* The records for the reader, which takes them each time that the program stops. */
#define BATCH 256

struct found_socket batch[BATCH];
__u32 batch_length;

/* Where to continue: the thread, 0 at the beginning, and its next descriptor. */
__u32 next_thread;
__u32 next_fd;

/* The number of this snapshot, from 1 on. */
__u32 snapshot_number;

/* The thread whose descriptors are read. */
static struct {
	struct task_struct *thread;
	struct files_struct *files;
	__u32 pid;
	__u32 uid;
	__u8 flags; /* enum holder_flag */
	char comm[16];
	char program[16];
} owner;

/* So many descriptors are read at a time: the length of each table is a multiple of it. */
#define FILES_PER_READ 16

/* At most so many reads in one run: older verifiers check each round of a loop by itself. */
#define MAX_READS 64

/* Adds the file of a descriptor to the batch if it is a TCP socket. It is a global function because
 * the verifier checks those once, and not for each call. */
__noinline int add_holder(__u64 slot, __u64 address, __u32 fd)
{
	struct file *file = (struct file *)address, *still;
	const struct sock *sk = tcp_socket_of_file(file);
	__u32 count = batch_length;
	struct found_socket *f;

	if (!sk || count >= BATCH)
		return 0;
	f = &batch[count];
	__builtin_memset(f, 0, sizeof(*f));
	if (!put_socket(f, sk) || bpf_probe_read_kernel(&still, sizeof(still), (const void *)slot) || still != file)
		return 0;
	f->fd = fd;
	f->pid = owner.pid;
	f->holder_uid = owner.uid;
	f->holder_flags = owner.flags;
	__builtin_memcpy(f->comm, owner.comm, sizeof(f->comm));
	__builtin_memcpy(f->program, owner.program, sizeof(f->program));
	batch_length = count + 1;
	return 0;
}

/* Reports whether the owner still has this table. */
static __always_inline bool table_unchanged(const struct fdtable *table)
{
	const struct task_struct *thread = owner.thread;

	return BPF_CORE_READ(thread, files) == owner.files && BPF_CORE_READ(thread, files, fdt) == table;
}

/* Adds the sockets of the owner's next descriptors to the batch, and returns 0 after the last one.
 * If the owner got another table meanwhile, what was read is discarded and read again. */
__noinline int add_next_holders(void)
{
	const struct task_struct *thread = owner.thread;
	struct fdtable *table = BPF_CORE_READ(thread, files, fdt);
	struct file *files[FILES_PER_READ];
	struct file **slots = BPF_CORE_READ(table, fd) + next_fd;
	__u32 before = batch_length;

	if (next_fd >= BPF_CORE_READ(table, max_fds) || bpf_probe_read_kernel(files, sizeof(files), slots))
		return 0;
	for (int i = 0; i < FILES_PER_READ; i++)
		if (files[i])
			add_holder((__u64)(slots + i), (__u64)files[i], next_fd + i);
	if (table_unchanged(table))
		next_fd += FILES_PER_READ;
	else
		batch_length = before;
	return 1;
}

/* The tables of threads that are not the leader of their process and do not share its table: the
 * leader has ended, or one of the two took a table of its own. The value is the number of the
 * snapshot that last read the table. If there are more such tables than entries, some are read
 * once for each of their threads. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, __u32);
} leaderless_tables SEC(".maps");

static __always_inline bool is_leader(struct task_struct *task)
{
	return task->pid == task->tgid;
}

/* Reports whether a thread has a table of descriptors that this snapshot has not read yet. */
static __always_inline bool has_unread_table(struct task_struct *task)
{
	__u64 table = (__u64)BPF_CORE_READ(task, files);
	__u32 *read;

	if (task->flags & PF_KTHREAD || !table)
		return false;
	if (is_leader(task))
		return true;
	if (task->files == task->group_leader->files)
		return false;
	read = bpf_map_lookup_elem(&leaderless_tables, &table);
	return !read || *read != snapshot_number;
}

/* Returns the number of a process in the pid namespace of the reader. The reader sees the process
 * there: the iterator shows no others. */
static __always_inline __u32 pid_for_reader(struct task_struct *task)
{
	const struct task_struct *reader = (const void *)bpf_get_current_task();
	__u32 level = BPF_CORE_READ(reader, thread_pid, level);
	const struct pid *pid = BPF_CORE_READ(task, group_leader, thread_pid);
	const char *numbers = (const char *)pid + bpf_core_field_offset(struct pid, numbers);
	__u32 number = 0;

	bpf_probe_read_kernel(&number, sizeof(number),
			      numbers + level * bpf_core_type_size(struct upid) +
				      bpf_core_field_offset(struct upid, nr));
	return number;
}

static __always_inline void set_owner(struct task_struct *task)
{
	owner.thread = task;
	owner.files = BPF_CORE_READ(task, files);
	owner.pid = want_own_pids ? pid_for_reader(task) : task->tgid;
	owner.uid = task->cred->uid.val;
	owner.flags = BPF_CORE_READ(task, signal, flags) & SIGNAL_STOP_STOPPED ? IS_STOPPED : 0;
	bpf_probe_read_kernel(owner.comm, sizeof(owner.comm), task->group_leader->comm);
	__builtin_memset(owner.program, 0, sizeof(owner.program));
	bpf_probe_read_kernel_str(owner.program, sizeof(owner.program),
				  BPF_CORE_READ(task, mm, exe_file, f_path.dentry, d_name.name));
	if (next_thread != task->pid)
		next_fd = 0;
	next_thread = task->pid;
}

/* Returns 1 to be run for the same thread again, after the reader has taken the batch. */
SEC("iter/task")
int holders(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	__u64 table;

	if (!task || !has_unread_table(task))
		return 0;
	set_owner(task);
	for (int reads = 0; reads < MAX_READS; reads++) {
		if (batch_length > BATCH - FILES_PER_READ || BPF_CORE_READ(task, files) != owner.files)
			return 1;
		if (add_next_holders())
			continue;
		table = (__u64)owner.files;
		if (!is_leader(task))
			bpf_map_update_elem(&leaderless_tables, &table, &snapshot_number, BPF_ANY);
		return 0;
	}
	return 1;
}
