/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Copyright (c) 2026 The tcptrace authors */
/* Reading the headers of a received segment. */
#ifndef TCPTRACE_SEGMENT_H
#define TCPTRACE_SEGMENT_H

#include "socket.h"

/* The flags byte of the TCP header (RFC 9293 section 3.1). */
#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04

struct segment {
	__u8 ip[40] __attribute__((aligned(8))); /* the fixed part of the IPv4 or IPv6 header */
	__u16 local_port;
	__u16 remote_port;
	__u32 acknowledges;
	__u8 flags;
};

/* Reads a segment that was received here: its destination is the local end. */
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
	segment->acknowledges = tcp[8] << 24 | tcp[9] << 16 | tcp[10] << 8 | tcp[11];
	segment->flags = tcp[13];
	return true;
}

/* Returns how many bytes of data there are from what a socket has received to the end of a segment. If another one
 * was overtaken by it, they are more than it has. */
static __always_inline __u32 new_payload(const struct segment *segment, const struct sk_buff *skb, __u32 received)
{
	const void *end_at = (void *)skb->cb + bpf_core_field_offset(struct tcp_skb_cb, end_seq);
	__u32 end = 0;
	__s32 payload;

	if (segment->flags & TCP_SYN) /* its numbers are another connection's */
		return 0;
	bpf_probe_read_kernel(&end, sizeof(end), end_at);
	payload = end - !!(segment->flags & TCP_FIN) - received;
	return payload > 0 ? payload : 0;
}

static __always_inline void put_segment_addresses(__u64 local[2], __u64 remote[2], const struct segment *segment)
{
	if (segment->ip[0] >> 4 == 6) {
		__builtin_memcpy(remote, segment->ip + 8, 16);
		__builtin_memcpy(local, segment->ip + 24, 16);
	} else {
		put_ipv4(remote, *(__be32 *)(segment->ip + 12));
		put_ipv4(local, *(__be32 *)(segment->ip + 16));
	}
}

/* Reports whether a packet of any kind is a TCP segment. */
static __always_inline bool is_segment(const struct sk_buff *skb)
{
	unsigned char *ip = skb->head + skb->network_header;
	__u8 protocol;

	if (skb->transport_header == NO_HEADER)
		return false;
	switch (skb->protocol) {
	case bpf_htons(ETH_P_IP):
		return !bpf_probe_read_kernel(&protocol, 1, ip + 9) && protocol == IPPROTO_TCP;
	case bpf_htons(ETH_P_IPV6):
		return !bpf_probe_read_kernel(&protocol, 1, ip + 6) && protocol == IPPROTO_TCP;
	}
	return false;
}

#endif
