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
	__u8 unused;
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
	char comm[16];
};

#endif
