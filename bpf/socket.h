/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Copyright (c) 2026 The tcptrace authors */
/* Reading sockets into a record: full ones through the verifier's typed
 * pointers, timewait and request sockets from a copy. */
#ifndef TCPTRACE_SOCKET_H
#define TCPTRACE_SOCKET_H

#include "kernel.h"

/* The words of ::ffff:a.b.c.d as they lie in memory. */
#define MAPPED_PREFIX bpf_htonl(0xffff)

static __always_inline void put_ipv4(__u64 to[2], __be32 addr)
{
	__be32 *words = (__be32 *)to;

	to[0] = 0;
	words[2] = MAPPED_PREFIX;
	words[3] = addr;
}

static __always_inline void put_ipv6(__u64 to[2], const struct in6_addr *addr)
{
	__be32 *words = (__be32 *)to;

	words[0] = addr->in6_u.u6_addr32[0];
	words[1] = addr->in6_u.u6_addr32[1];
	words[2] = addr->in6_u.u6_addr32[2];
	words[3] = addr->in6_u.u6_addr32[3];
}

static __always_inline void put_addresses(__u64 local[2], __u64 remote[2], const struct sock_common *sk)
{
	if (sk->skc_family == AF_INET6) {
		put_ipv6(local, &sk->skc_v6_rcv_saddr);
		put_ipv6(remote, &sk->skc_v6_daddr);
	} else {
		put_ipv4(local, sk->skc_rcv_saddr);
		put_ipv4(remote, sk->skc_daddr);
	}
}

/* A copy of the beginning of a timewait or request socket. The verifier does not allow to read
 * them directly from their timer. */
struct socket_copy {
	__u64 bytes[32];
};

static __always_inline bool copy_socket(struct socket_copy *copy, const void *sk, __u32 size)
{
	return size <= sizeof(*copy) && !bpf_probe_read_kernel(copy, size, sk);
}

/* A copy of the part that all sockets begin with, for sockets without a type in the verifier. */
struct common_copy {
	__u64 bytes[16];
};

static __always_inline bool copy_common(struct common_copy *copy, const void *sk)
{
	__u32 size = bpf_core_field_offset(struct sock_common, skc_cookie) + sizeof(__u64);

	return size <= sizeof(*copy) && !bpf_probe_read_kernel(copy, size, sk);
}

/* Returns the TCP socket behind a file's socket: the same one, or the first that carries its MPTCP
 * connection. Go's net.Listen opens MPTCP listeners. */
static __always_inline const struct sock *tcp_socket_behind(const struct sock *sk)
{
	__u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);

	if (family != AF_INET && family != AF_INET6)
		return NULL;
	switch (BPF_CORE_READ(sk, sk_protocol)) {
	case IPPROTO_TCP:
		return sk;
	case IPPROTO_MPTCP:
		if (!bpf_core_type_exists(struct mptcp_sock))
			return NULL;
		return BPF_CORE_READ((const struct mptcp_sock *)sk, first);
	}
	return NULL;
}

/* Returns the socket behind a file, or NULL. The file may be of any kind; only that of a socket has
 * a struct socket that points back to it. */
static __always_inline const struct sock *socket_of_file(struct file *file)
{
	struct socket *socket = BPF_CORE_READ(file, private_data);

	if (!socket || BPF_CORE_READ(socket, file) != file)
		return NULL;
	return BPF_CORE_READ(socket, sk);
}

/* Returns the TCP socket behind a file, or NULL. */
static __always_inline const struct sock *tcp_socket_of_file(struct file *file)
{
	const struct sock *sk = socket_of_file(file);

	return sk ? tcp_socket_behind(sk) : NULL;
}

#endif
