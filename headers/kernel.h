/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Copyright (c) 2026 The tcptrace authors */
/* The kernel types that the programs use, and of them only the fields that they
 * read. The order and the offsets are not those of the kernel: when an object is
 * loaded, CO-RE corrects each access for the running kernel. A field that not
 * every kernel has is in a flavour of its type (a name with ___); if any other
 * field is missing, internal/probe reports it by name. */
#ifndef TCPTRACE_KERNEL_H
#define TCPTRACE_KERNEL_H

#include "types.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	int counter;
} atomic_t;

typedef struct {
	__s64 counter;
} atomic64_t;

typedef struct refcount_struct {
	atomic_t refs;
} refcount_t;

struct in6_addr {
	union {
		__be32 u6_addr32[4];
	} in6_u;
};

/* The count of users moved: net.count up to 5.10, ns_common.count from 5.11,
 * ns_common.__ns_ref from 6.18. */
struct ns_common {
	unsigned int inum;
};

struct ns_common___ref {
	refcount_t __ns_ref;
};

struct ns_common___count {
	refcount_t count;
};

/* include/net/netns/ipv4.h */
struct inet_timewait_death_row {
	int sysctl_max_tw_buckets;
};

struct inet_timewait_death_row___ref {
	refcount_t tw_refcount;
};

/* up to 5.16 */
struct inet_timewait_death_row___count {
	atomic_t tw_count;
};

struct netns_ipv4 {
	struct inet_timewait_death_row tcp_death_row;
};

/* from 6.0 on, for a few versions */
struct netns_ipv4___pointer {
	struct inet_timewait_death_row *tcp_death_row;
};

/* The range that the kernel chooses local ports from: one number from 6.8 on, with
 * the last port in the upper half, two before. */
struct local_ports {
	__u32 range;
};

struct netns_ipv4___ports {
	struct local_ports ip_local_ports;
};

struct local_ports___two {
	int range[2];
};

struct netns_ipv4___two {
	struct local_ports___two ip_local_ports;
};

/* Bytes from 5.13 on, int before. */
struct netns_ipv4___retries {
	__u8 sysctl_tcp_retries2;
	__u8 sysctl_tcp_orphan_retries;
};

struct net {
	struct ns_common ns;
	struct netns_ipv4 ipv4;
};

struct net___count {
	refcount_t count;
};

typedef struct {
	struct net *net;
} possible_net_t;

/* include/net/sock.h: what full, timewait and request sockets have in common */
struct sock_common {
	union {
		struct {
			__be32 skc_daddr;
			__be32 skc_rcv_saddr;
		};
	};
	union {
		struct {
			__be16 skc_dport;
			__u16 skc_num;
		};
	};
	unsigned short skc_family;
	volatile unsigned char skc_state;
	unsigned char skc_reuse : 4;
	unsigned char skc_reuseport : 1;
	unsigned char skc_ipv6only : 1;
	int skc_bound_dev_if;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	atomic64_t skc_cookie;
	union {
		unsigned long skc_flags;
		struct sock *skc_listener; /* of a request socket */
	};
	__u32 skc_tw_rcv_nxt; /* of a timewait socket: behind what it has received */
	__u32 skc_tw_snd_nxt; /* of a timewait socket: behind our FIN */
};

struct qstr {
	const unsigned char *name;
};

struct dentry {
	struct qstr d_name;
};

struct path {
	struct dentry *dentry;
};

struct file {
	void *private_data;
	struct path f_path;
};

/* include/linux/mm_types.h */
struct mm_struct {
	struct file *exe_file;
	unsigned long exec_vm; /* pages of executable mappings */
	unsigned long start_stack;
};

/* include/linux/file_ref.h, from 6.13 on */
typedef struct {
	atomic64_t refcnt;
} file_ref_t;

struct file___ref {
	file_ref_t f_ref;
};

/* struct file before 6.13 */
struct file___f_count {
	atomic64_t f_count;
};

struct socket {
	struct file *file;
	struct sock *sk;
};

typedef struct {
	int owned;
} socket_lock_t;

typedef struct {
	unsigned int val;
} kuid_t;

struct kernfs_node {
	__u64 id;
};

/* One hierarchy of cgroups: version 2 has the number 0. */
struct cgroup_root {
	int hierarchy_id;
};

struct cgroup {
	struct kernfs_node *kn;
	struct cgroup_root *root;
};

struct sock_cgroup_data {
};

/* from 5.15 on */
struct sock_cgroup_data___pointer {
	struct cgroup *cgroup;
};

struct sock {
	struct sock_common __sk_common;
	socket_lock_t sk_lock;
	atomic_t sk_drops;
	__u16 sk_protocol;
	int sk_err;
	kuid_t sk_uid;
	__u32 sk_ack_backlog;
	__u32 sk_max_ack_backlog;
	struct socket *sk_socket;
	struct sock_cgroup_data sk_cgrp_data;
};

struct inet_sock {
	struct sock sk;
	__be16 inet_sport;
};

/* IP_LOCAL_PORT_RANGE, from 6.3 on: the last port << 16 | the first one, or 0 for each that is not set */
struct inet_sock___ports {
	__u32 local_port_range;
};

/* the same before 6.9 */
struct inet_sock___two_ports {
	struct {
		__u16 lo;
		__u16 hi;
	} local_port_range;
};

struct inet_connection_sock {
	struct inet_sock icsk_inet;
	__u8 icsk_retransmits;
	void *icsk_ulp_data;
	__u8 icsk_backoff;
	__u8 icsk_probes_out;
	__u32 icsk_rto;
	__u32 icsk_user_timeout;
	struct {
		__u32 lrcvtime; /* when data was last received in order, in jiffies */
	} icsk_ack;
};

/* from 5.11 on */
struct inet_connection_sock___probes {
	__u32 icsk_probes_tstamp;
};

/* from 6.15 on */
struct inet_connection_sock___longest {
	__u32 icsk_rto_max;
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u32 retrans_stamp;
	__u32 rcv_nxt;
	__u32 copied_seq;
	__u32 lsndtime; /* when data was last sent, in jiffies */
	__u32 snd_una;
	__u32 snd_nxt;
	__u32 snd_wnd;
	__u32 write_seq;
	__u32 total_retrans;
	__u64 bytes_sent;
	__u64 bytes_retrans;
	__u64 bytes_received;
	__u64 bytes_acked;
	unsigned char repair : 1;
	int linger2; /* TCP_LINGER2 in jiffies; -1: no FIN_WAIT2 after close() */
};

/* from 6.7 on */
struct tcp_sock___micros {
	__u8 tcp_usec_ts : 1;
};

/* with CONFIG_MPTCP */
struct tcp_sock___mptcp {
	bool is_mptcp;
};

/* net/mptcp/protocol.h: the socket of a process whose bytes TCP sockets carry */
struct mptcp_sock {
	struct sock *first;
};

/* What a TCP socket that carries bytes of an MPTCP socket has in icsk_ulp_data. */
struct mptcp_subflow_context {
	struct sock *conn; /* the MPTCP socket */
};

struct hlist_node {
	struct hlist_node **pprev;
};

struct timer_list {
	struct hlist_node entry;
	unsigned long expires;
	void (*function)(struct timer_list *);
	__u32 flags;
};

/* The timer of retransmissions and window probes: up to 6.18, and after it. */
struct inet_connection_sock___timer {
	struct timer_list icsk_retransmit_timer;
};

struct sock___timer {
	struct timer_list tcp_retransmit_timer;
};

/* include/net/inet_timewait_sock.h: what the kernel keeps of a socket in
 * TIME_WAIT, or in FIN_WAIT2 when no process has it open */
struct inet_timewait_sock {
	struct sock_common __tw_common;
	volatile unsigned char tw_substate;
	struct timer_list tw_timer;
};

/* include/net/request_sock.h: a connection between SYN and ACK */
struct request_sock {
	struct sock_common __req_common;
	struct timer_list rsk_timer;
};

struct net_device {
	possible_net_t nd_net;
};

struct sk_buff {
	struct net_device *dev;
	__be16 protocol;
	__u16 transport_header;
	__u16 network_header;
	unsigned char *head;
	char cb[48]; /* of a received segment: struct tcp_skb_cb */
};

/* include/net/tcp.h */
struct tcp_skb_cb {
	__u32 end_seq; /* behind the data, and behind a FIN, which counts as a byte */
};

struct signal_struct {
	unsigned int flags;
	int group_exit_code;
};

struct cred {
	kuid_t uid;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

/* include/linux/pid.h: one number for each level of pid namespaces, the first one's first */
struct pid_namespace;

struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct pid {
	unsigned int level;
	struct upid numbers[1];
};

struct task_struct {
	unsigned int flags;
	int exit_code;
	int pid; /* of the thread */
	int tgid;
	char comm[16];
	unsigned long min_flt; /* page faults */
	unsigned long maj_flt;
	struct task_struct *group_leader;
	struct signal_struct *signal;
	struct files_struct *files;
	const struct cred *cred;
	struct pid *thread_pid;
	struct mm_struct *mm;
};

/* arch/x86/include/asm/ptrace.h, arch/arm64/include/asm/ptrace.h */
struct pt_regs___amd64 {
	unsigned long ax;
	unsigned long si;
	unsigned long di;
	unsigned long orig_ax;
	unsigned long sp;
};

struct pt_regs___arm64 {
	__u64 regs[31];
	__u64 sp;
	__u64 orig_x0;
	int syscallno; /* s32 as well */
};

/* What iterators are called with (include/linux/bpf.h, net/ipv4/tcp_ipv4.c,
 * kernel/bpf/task_iter.c). */
struct bpf_iter_meta {
	struct seq_file *seq;
	__u64 seq_num;
};

struct bpf_iter__tcp {
	struct bpf_iter_meta *meta;
	struct sock_common *sk_common;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

#pragma clang attribute pop

/* include/net/tcp_states.h */
enum {
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT = 2,
	TCP_SYN_RECV = 3,
	TCP_FIN_WAIT1 = 4,
	TCP_FIN_WAIT2 = 5,
	TCP_TIME_WAIT = 6,
	TCP_CLOSE = 7,
	TCP_CLOSE_WAIT = 8,
	TCP_LAST_ACK = 9,
	TCP_LISTEN = 10,
	TCP_CLOSING = 11,
	TCP_NEW_SYN_RECV = 12, /* a request socket */
};

/* include/net/sock.h: bits of skc_flags */
enum {
	SOCK_DEAD = 0, /* no process has it open any longer */
	SOCK_DONE = 1, /* the peer's FIN came */
};

#define AF_UNSPEC 0
/* include/net/rstreason.h, from 6.12 on; the numbers are those of the running kernel */
enum sk_rst_reason {
	SK_RST_REASON_TCP_ABORT_ON_DATA = 1,
	SK_RST_REASON_TCP_ABORT_ON_LINGER = 2,
};

#define AF_INET 2
#define AF_INET6 10
#define AF_NETLINK 16
#define IPPROTO_TCP 6
#define IPPROTO_MPTCP 262

/* include/uapi/linux/if_ether.h */
#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86dd

/* sk_buff.transport_header of a packet without one */
#define NO_HEADER 0xffff

#define EADDRINUSE 98
#define EADDRNOTAVAIL 99

/* include/linux/sched/signal.h: of signal_struct.flags */
#define SIGNAL_STOP_STOPPED 0x00000001

/* include/linux/sched.h */
#define PF_EXITING 0x00000004
#define PF_IO_WORKER 0x00000010
#define PF_KTHREAD 0x00200000

#endif
