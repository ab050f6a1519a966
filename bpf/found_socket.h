/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Copyright (c) 2026 The tcptrace authors */
/* What a snapshot says about one socket, or about one file descriptor of it: the record that
 * snapshot.bpf.c writes and internal/probe reads. */
#ifndef TCPTRACE_FOUND_SOCKET_H
#define TCPTRACE_FOUND_SOCKET_H

#include "types.h"

/* What is true about a socket. */
enum found_socket_flag {
	IS_IPV6 = 1 << 0, /* AF_INET6, whatever the address */
	IS_V6ONLY = 1 << 1,
	HAS_REUSEADDR = 1 << 2,
	HAS_REUSEPORT = 1 << 3,
	IS_TIMEWAIT = 1 << 4, /* a timewait socket, which has only these options, and no counters */
	IS_REQUEST = 1 << 5,  /* a request socket: between SYN and ACK */
	IS_DEAD = 1 << 6,     /* no process will ever have it open again */
	HAS_PROCESS = 1 << 7, /* a process made or accepted it, or may have done so */
};

/* What is true about a process that has a socket open. */
enum holder_flag {
	IS_STOPPED = 1 << 0, /* by SIGSTOP or a similar signal: state T */
};

struct found_socket {
	__u64 time;     /* ns since boot, including suspend */
	__u64 sock;     /* kernel address */
	__u64 cookie;   /* 0: the socket has none yet */
	__u64 local[2]; /* network order, IPv4 as ::ffff:a.b.c.d */
	__u64 remote[2];
	__u16 local_port; /* host order */
	__u16 remote_port;
	__u32 netns; /* inode number */
	__u8 state;  /* IS_TIMEWAIT: FIN_WAIT2 or TIME_WAIT */
	__u8 flags;
	__u8 timeouts; /* how often the retransmission timer expired since the last ACK */
	__u8 holder_flags;
	__u32 uid;
	__u32 interface; /* index of the interface that it is bound to, or 0 */
	__u32 pid;       /* the process that has it open, not the thread; 0: this record does not say */
	__s32 fd;
	__u32 retransmits;
	__s64 left;     /* IS_TIMEWAIT: jiffies until the timer fires */
	__u64 function; /* IS_TIMEWAIT, IS_REQUEST: kernel address of the timer's function */
	__u64 cgroup;
	__u64 bytes_sent;
	__u64 bytes_received;
	__u32 unread;
	__u32 unsent;
	__u32 backlog;
	__u32 backlog_max;
	__u32 drops;
	__u32 holder_uid;
	__u32 in_flight;     /* bytes, and the FIN, that were sent and not acknowledged */
	__u32 window;        /* bytes that the peer has room for */
	__u32 rto;           /* jiffies; retransmissions have doubled it, window probes have not */
	__u32 rto_max;       /* jiffies; 0: the kernel has a constant for it */
	__u32 user_timeout;  /* TCP_USER_TIMEOUT in ms */
	__u32 waited;        /* ms since the oldest data in flight was first sent, if timeouts is not 0 */
	__u32 probing;       /* jiffies since the first window probe; 0: none, or unknown */
	__s32 next;          /* jiffies until the timer of retransmissions and window probes fires */
	__u8 probes;         /* window probes since the last ACK */
	__u8 backoff;        /* how often the interval was doubled */
	__u8 retries;        /* net.ipv4.tcp_retries2 */
	__u8 orphan_retries; /* net.ipv4.tcp_orphan_retries */
	__u32 has_timer;     /* 1: next is known */
	__u32 idle_sent;     /* jiffies since data was last sent */
	__u32 idle_received; /* jiffies since data last came */
	char comm[16];
	char program[16]; /* the name of the file that the process runs; as long as this: cut off */
};

#endif
