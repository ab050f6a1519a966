/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Copyright (c) 2026 The tcptrace authors */
/* The wire layout: what one record of the ring buffer looks like. It is defined only here.
 * internal/event decodes it, and a test of internal/probe compares the two. */
#ifndef TCPTRACE_EVENT_H
#define TCPTRACE_EVENT_H

#include "types.h"

/* What happened. */
enum kind {
	TRANSITION = 1,        /* a full socket went from one state to another */
	SYN_RECEIVED = 2,      /* a request socket's timer was armed: a SYN came, or the SYN+ACK is sent again */
	REQUEST_STOPPED = 3,   /* a request socket's timer was stopped */
	REQUEST_EXPIRED = 4,   /* a request socket's timer ran out */
	TIMEWAIT_ARMED = 5,    /* a timewait socket's timer was armed: the socket is new, or its time starts again */
	TIMEWAIT_STOPPED = 6,  /* its timer was stopped, before an expiry, a new start or an early end */
	TIMEWAIT_EXPIRED = 7,  /* its timer ran out: its end */
	SEGMENT_SWALLOWED = 8, /* a timewait socket received a segment */
	RESET_DROPPED = 9,     /* a RST was dropped at a listener, between SYN and ACK, or at an unknown socket */
	RESET_SENT = 10,
	RESET_RECEIVED = 11, /* tcp_reset() ran: a RST came, or data for a closed socket */
	ACCEPTED = 12,       /* accept() gave a connection to a process */
	BIND_FAILED = 13,    /* local: the address that was asked for */
	LISTEN_FAILED = 14,
	CONNECT_FAILED = 15, /* for lack of a local port; remote: where to */
	RING_GAP = 16,       /* the ring was full, and records before this one are lost; cookie: how many so far */
	RESET_ANSWERED = 17, /* a RST left that belongs to no connection: it answers a segment for an unknown socket, a
				listener or a request. Its ends are those of the answered segment */
	PROCESS_JOINED = 18, /* pid: a process of the traced command (family.h) */
	PROCESS_LEFT = 19,   /* pid: it no longer belongs to the traced command */
};

/* What else is true. */
enum flag {
	BY_PROCESS = 1 << 0,    /* a system call of the task in pid, uid and comm */
	FILE_OPEN = 1 << 1,     /* the socket's file lives on: shutdown(), not close() */
	EXITING = 1 << 2,       /* the task is ending; signal says whether it was killed */
	FIN_UNSENT = 1 << 3,    /* to FIN_WAIT1 or LAST_ACK: our FIN may have to wait; from them: it has not left */
	TIMEWAIT_FULL = 1 << 4, /* net.ipv4.tcp_max_tw_buckets is reached */
	NETNS_DYING = 1 << 5,   /* the network namespace has no user left */
	RESET_ACTIVE = 1 << 6,  /* the RST answers no segment */
	ORPHAN = 1 << 7,        /* no process has the socket open any longer */
	COUNTED = 1 << 8,       /* TRANSITION from ESTABLISHED or CLOSE_WAIT, to CLOSING or CLOSE: the counters are
				   there */
	REUSEADDR = 1 << 9,     /* TRANSITION, *_FAILED: what the socket has set */
	REUSEPORT = 1 << 10,
	V6ONLY = 1 << 11,
	IPV6 = 1 << 12,      /* it is of AF_INET6, whatever its addresses */
	BYSTANDER = 1 << 13, /* another process may have closed the socket; this task only released it last */
	AGAIN = 1 << 14,     /* TRANSITION, RESET_*: reported by a follower (take_over.h), perhaps a second time */
	SEQUENCED = 1 << 15, /* TRANSITION that ends the handshake: the sequence numbers are there */
};

/* By which system call the task in pid changed the socket, where the flags do not say it. */
enum call {
	EXEC_CALL = 1,       /* execve() closed what is close-on-exec; comm: of the program before, if it is known */
	DISCONNECT_CALL = 2, /* connect() to AF_UNSPEC */
	CONNECT_CALL = 3,    /* connect() to an address: it fails */
	DESTROY_CALL = 4,    /* a request by netlink, as ss -K makes it. TIMEWAIT_STOPPED, REQUEST_STOPPED: perhaps */
	UNKNOWN_CALL = 5,    /* shutdown() or one of the last three: this kernel does not show which */
	LISTENER_CALL = 6,   /* the call closed the listener in whose accept queue the socket was */
};

struct event {
	__u64 time;     /* ns since boot, including suspend */
	__u64 sock;     /* kernel address of the full, timewait or request socket */
	__u64 cookie;   /* socket cookie; SYN_RECEIVED: the listener's; 0: none */
	__u64 local[2]; /* network order, IPv4 as ::ffff:a.b.c.d */
	__u64 remote[2];
	__u16 local_port; /* host order; 0: not chosen yet */
	__u16 remote_port;
	__u32 netns; /* inode number */
	__u8 kind;
	__u8 from; /* TRANSITION: old state; RESET_*: the socket's state */
	__u8 to;   /* TRANSITION: new state; TIMEWAIT_*: FIN_WAIT2 or TIME_WAIT */
	union {
		__u8 tcp_flags;  /* SEGMENT_SWALLOWED: the flags byte of the TCP header */
		__u8 stack_sent; /* TRANSITION: 1: the user stack of its call is in the other ring (stack.h) */
	};
	__u16 flags;
	__u16 error; /* sk_err; *_FAILED: of the call */
	__u32 pid;   /* the process on the CPU, not the thread */
	__u32 uid;
	union {
		char comm[16];  /* BY_PROCESS: of the process, not of the thread */
		__s64 left;     /* TIMEWAIT_ARMED, SEGMENT_SWALLOWED: jiffies until the timer fires */
		__u64 listener; /* SYN_RECEIVED: kernel address of the socket that the SYN is for */
	};
	__u64 cgroup; /* TRANSITION, *_FAILED: the id of the socket's cgroup; 0: unknown */
	union {
		__u64 bytes_sent; /* COUNTED, as bytes_received and retransmits: payload so far, each byte once */
		struct {
			__u32 isn_local; /* SEQUENCED: our initial sequence number; one more than it at an accepted socket */
			__u32 isn_remote; /* SEQUENCED: the peer's */
		};
		struct {
			__u32 late_payload; /* SEGMENT_SWALLOWED, RESET_SENT that answers a segment: new bytes of data up to its
					 end */
			__u32 late_crossed; /* 1: its sender had not received our FIN when it left */
		};
	};
	union {
		__u64 bytes_received;
		struct {
			__u16 first_port; /* *_FAILED: IP_LOCAL_PORT_RANGE of the socket; 0: not set */
			__u16 last_port;
		};
	};
	union {
		__u32 retransmits; /* COUNTED: segments sent again */
		__u32 interface;   /* otherwise: index of the interface that the socket is bound to, or 0 */
	};
	__u8 signal; /* EXITING: the signal that killed the process; 0: it exited */
	__u8 reason; /* RESET_SENT: enum sk_rst_reason; 0 if the kernel does not have it */
	__u8 call;   /* enum call */
	__u8 silent; /* to CLOSE: TCP_REPAIR is set, so that the socket sends nothing */

	/* COUNTED: */
	__u32 idle_sent;      /* from ESTABLISHED: jiffies since data was last sent, by a timer of the kernel as well */
	__u32 idle_received;  /* from ESTABLISHED: jiffies since data was last received in order */
	__u32 unacknowledged; /* bytes of ours that the peer has not acknowledged. To FIN_WAIT1 or LAST_ACK those that
				 were not sent are among them, to CLOSE our FIN may be */
	__u32 unread;         /* bytes received in order that no process has read */
};

_Static_assert(sizeof(struct event) == 144, "the wire layout is 144 bytes, as internal/event reads it");

#define STACK_PIECE 1024
#define STACK_PIECES 8

/* The user stack of a task in a system call: its registers, and a copy of the memory that its stack pointer points
 * to. It is what is needed to find the functions that made the call. It may have secrets. */
struct user_stack {
	__u64 time; /* of the event, and sock of it: both say which one it belongs to. 0: only the process is new */
	__u64 sock;
	__u64 start_stack;   /* where the stack of the process began: it shows whether it is still the same program */
	__u64 exec_pages;    /* pages of executable mappings: they show whether it still has the same code */
	__u64 base;          /* the address of the copy's first byte, a multiple of STACK_PIECE */
	__u64 registers[34]; /* struct pt_regs, as far as the architecture has them */
	__u32 pid;
	__u32 length; /* of the copy, in bytes */
	__u8 memory[STACK_PIECES * STACK_PIECE];
};

#define STACK_HEADER __builtin_offsetof(struct user_stack, memory)

#endif
