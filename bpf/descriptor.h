/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Copyright (c) 2026 The tcptrace authors */
/* The arguments of system calls, and the sockets of file descriptors. */
#ifndef TCPTRACE_DESCRIPTOR_H
#define TCPTRACE_DESCRIPTOR_H

#include "kernel.h"
#include "socket.h"

/* Returns the nth argument of the system call with these registers, on amd64 and arm64. */
static __always_inline __u64 call_argument(const void *regs, int n)
{
	if (bpf_core_field_exists(struct pt_regs___amd64, orig_ax)) {
		const struct pt_regs___amd64 *amd64 = regs;

		return n == 0 ? BPF_CORE_READ(amd64, di) : BPF_CORE_READ(amd64, si);
	}
	if (bpf_core_field_exists(struct pt_regs___arm64, orig_x0)) {
		const struct pt_regs___arm64 *arm64 = regs;

		return n == 0 ? BPF_CORE_READ(arm64, orig_x0) : BPF_CORE_READ(arm64, regs[1]);
	}
	return 0;
}

/* Returns the file of one of the process's file descriptors, or NULL. */
static __always_inline struct file *file_of_descriptor(__u32 fd)
{
	struct fdtable *table = BPF_CORE_READ(current_task(), files, fdt);
	struct file *file;

	if (fd >= BPF_CORE_READ(table, max_fds) ||
	    bpf_probe_read_kernel(&file, sizeof(file), BPF_CORE_READ(table, fd) + fd))
		return NULL;
	return file;
}

/* Returns the TCP socket of one of the process's file descriptors, or NULL. */
static __always_inline const struct sock *tcp_socket_of_descriptor(__u32 fd)
{
	struct file *file = file_of_descriptor(fd);

	return file ? tcp_socket_of_file(file) : NULL;
}

#endif
