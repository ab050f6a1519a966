/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* What the current system call was asked for: its registers have the arguments to its end,
 * and so one tracepoint a call is enough. */
#ifndef TCPTRACE_DESCRIPTOR_H
#define TCPTRACE_DESCRIPTOR_H

#include "kernel.h"
#include "socket.h"

/* The nth argument of the current system call, as amd64 and arm64 keep it. */
static __always_inline __u64 call_argument(int n)
{
	const void *regs = (const void *)bpf_task_pt_regs(bpf_get_current_task_btf());

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

/* The file behind one of the process's file descriptors, or NULL. */
static __always_inline struct file *file_of(__u32 fd)
{
	struct fdtable *table = bpf_get_current_task_btf()->files->fdt;
	struct file *file;

	if (fd >= table->max_fds || bpf_probe_read_kernel(&file, sizeof(file), table->fd + fd))
		return NULL;
	return file;
}

/* The TCP socket behind one of the process's file descriptors, or NULL. */
static __always_inline const struct sock *tcp_socket_of(__u32 fd)
{
	struct file *file = file_of(fd);
	struct socket *socket;
	struct sock *sk;

	if (!file)
		return NULL;
	socket = BPF_CORE_READ(file, private_data);
	/* Any file may be here; only a socket's has a struct socket that leads back to it. */
	if (!socket || BPF_CORE_READ(socket, file) != file)
		return NULL;
	sk = BPF_CORE_READ(socket, sk);
	return sk ? tcp_of(sk) : NULL;
}

#endif
