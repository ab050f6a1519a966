/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* The kernel types that the programs touch, and of them only the fields that
 * they read. The order and the offsets are not the kernel's: CO-RE puts each
 * access right for the running kernel when the object is loaded. */
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
	refcount_t __ns_ref;
};

struct ns_common___count {
	refcount_t count;
};

/* include/net/inet_timewait_sock.h */
struct inet_timewait_death_row {
	refcount_t tw_refcount;
	int sysctl_max_tw_buckets;
};

struct netns_ipv4 {
	struct inet_timewait_death_row tcp_death_row;
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
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	atomic64_t skc_cookie;
};

/* include/linux/file_ref.h, from 6.13 on */
typedef struct {
	atomic64_t refcnt;
} file_ref_t;

struct file {
	file_ref_t f_ref;
};

/* struct file before 6.13 */
struct file___f_count {
	atomic64_t f_count;
};

struct socket {
	struct file *file;
};

typedef struct {
	int owned;
} socket_lock_t;

struct sock {
	struct sock_common __sk_common;
	socket_lock_t sk_lock;
	__u16 sk_protocol;
	int sk_err;
	struct socket *sk_socket;
};

struct inet_sock {
	__be16 inet_sport;
};

struct inet_connection_sock {
	struct inet_sock icsk_inet;
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u32 snd_nxt;
	__u32 write_seq;
};

struct timer_list {
	unsigned long expires;
	void (*function)(struct timer_list *);
};

/* include/net/inet_timewait_sock.h: what the kernel keeps of a socket in
 * TIME_WAIT, or in FIN_WAIT2 once no process holds it */
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

struct sk_buff {
	__u16 transport_header;
	__u16 network_header;
	unsigned char *head;
};

struct signal_struct {
	int group_exit_code;
};

struct task_struct {
	unsigned int flags;
	int exit_code;
	int tgid;
	char comm[16];
	struct task_struct *group_leader;
	struct signal_struct *signal;
};

#pragma clang attribute pop

/* include/net/tcp_states.h */
enum {
	TCP_SYN_SENT = 2,
	TCP_FIN_WAIT1 = 4,
	TCP_FIN_WAIT2 = 5,
	TCP_TIME_WAIT = 6,
	TCP_CLOSE = 7,
	TCP_LAST_ACK = 9,
	TCP_LISTEN = 10,
	TCP_CLOSING = 11,
};

#define AF_INET6 10
#define IPPROTO_TCP 6

/* include/linux/sched.h */
#define PF_EXITING 0x00000004
#define PF_KTHREAD 0x00200000

#endif
