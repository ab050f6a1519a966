/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Reading the headers of a received segment. */
#ifndef TCPTRACE_SEGMENT_H
#define TCPTRACE_SEGMENT_H

#include "socket.h"

/* The flags byte of the TCP header (RFC 9293 section 3.1). */
#define TCP_RST 0x04

struct segment {
	__u8 ip[40] __attribute__((aligned(8))); /* the fixed part of the IPv4 or IPv6 header */
	__u16 local_port;
	__u16 remote_port;
	__u8 flags;
};

/* Received here: the destination is the local end. */
static __always_inline bool read_segment(struct segment *segment, const struct sk_buff *skb)
{
	unsigned char *head = skb->head;
	__u8 tcp[14];

	if (bpf_probe_read_kernel(tcp, sizeof(tcp), head + skb->transport_header))
		return false;
	if (bpf_probe_read_kernel(segment->ip, sizeof(segment->ip), head + skb->network_header))
		return false;
	segment->remote_port = tcp[0] << 8 | tcp[1];
	segment->local_port = tcp[2] << 8 | tcp[3];
	segment->flags = tcp[13];
	return true;
}

static __always_inline void put_segment_addresses(struct event *e, const struct segment *segment)
{
	if (segment->ip[0] >> 4 == 6) {
		__builtin_memcpy(e->remote, segment->ip + 8, 16);
		__builtin_memcpy(e->local, segment->ip + 24, 16);
	} else {
		put_ipv4(e->remote, *(__be32 *)(segment->ip + 12));
		put_ipv4(e->local, *(__be32 *)(segment->ip + 16));
	}
}

#endif
