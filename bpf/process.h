/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Copyright (c) 2026 The tcptrace authors */
/* Which process acts. The task on the CPU is the actor only inside its own system call; elsewhere
 * it is a task that a softirq interrupted. */
#ifndef TCPTRACE_PROCESS_H
#define TCPTRACE_PROCESS_H

#include "compat.h"
#include "descriptor.h"
#include "event.h"
#include "kernel.h"

/* Reports whether a system call may have made this transition of a socket whose lock a process
 * owns. Segments that waited for the lock are processed under it, too, so only transitions that no
 * segment makes count. Behind a transition to CLOSE without an error is a process or the network:
 * user space decides by the next records. */
static __always_inline bool made_by_call(const struct sock *sk, int from, int to)
{
	switch (to) {
	case TCP_SYN_SENT:
	case TCP_LISTEN:
	case TCP_FIN_WAIT1:
	case TCP_LAST_ACK:
		return true;
	case TCP_FIN_WAIT2:
		return from == TCP_FIN_WAIT2; /* close() after shutdown() */
	case TCP_CLOSE:
		return from != TCP_LAST_ACK && !sk->sk_err && sk->sk_socket;
	}
	return false;
}

/* Reports whether the socket's file is still open. close() and shutdown(SHUT_RDWR) both leave
 * sk_shutdown 3; the difference is the file, whose last reference is gone at close(). */
static __always_inline bool file_open(const struct sock *sk)
{
	struct socket *socket = sk->sk_socket;

	return socket && socket->file && !file_released(socket->file);
}

/* Returns the signal that killed the process, or 0. exit_group() also ends the other threads by
 * SIGKILL, so only the exit code of the process says it (wait(2): the low 7 bits). On older
 * kernels a process with a single thread has it in the thread. */
static __always_inline __u8 killing_signal(struct task_struct *task)
{
	int code = BPF_CORE_READ(task, signal, group_exit_code);

	return (code ? code : BPF_CORE_READ(task, exit_code)) & 0x7f;
}

/* Writes into a record the process whose system call is running. */
static __always_inline void put_caller(struct event *e)
{
	e->flags |= BY_PROCESS;
	e->pid = bpf_get_current_pid_tgid() >> 32;
	e->uid = bpf_get_current_uid_gid();
	BPF_CORE_READ_INTO(&e->comm, current_task(), group_leader, comm);
}

/* System calls on amd64 and arm64. */
enum {
	READ_AMD64 = 0,
	STAT_AMD64 = 4,
	READLINK_AMD64 = 89,
	NEWFSTATAT_AMD64 = 262,
	READLINKAT_AMD64 = 267,
	STATX_AMD64 = 332,
	READ_ARM64 = 63,
	READLINKAT_ARM64 = 78,
	NEWFSTATAT_ARM64 = 79,
	STATX_ARM64 = 291,
};

/* Returns the number of the system call with these registers, or -1. */
static __always_inline int call_number(const void *regs)
{
	if (bpf_core_field_exists(struct pt_regs___amd64, orig_ax))
		return BPF_CORE_READ((const struct pt_regs___amd64 *)regs, orig_ax);
	if (bpf_core_field_exists(struct pt_regs___arm64, syscallno))
		return BPF_CORE_READ((const struct pt_regs___arm64 *)regs, syscallno);
	return -1;
}

static __always_inline bool is_read_call(int call)
{
	return call == (bpf_core_field_exists(struct pt_regs___amd64, orig_ax) ? READ_AMD64 : READ_ARM64);
}

/* Reports whether a system call only asks where a link leads, or what a file is: it never closes a
 * socket of its own. */
static __always_inline bool is_lookup_call(int call)
{
	if (bpf_core_field_exists(struct pt_regs___amd64, orig_ax))
		return call == STAT_AMD64 || call == READLINK_AMD64 || call == NEWFSTATAT_AMD64 ||
		       call == READLINKAT_AMD64 || call == STATX_AMD64;
	return call == READLINKAT_ARM64 || call == NEWFSTATAT_ARM64 || call == STATX_ARM64;
}

/* Reports whether the task may release a socket that another process closed. A task that asks for
 * the file of a descriptor, by the links of /proc/PID/fd or by an iterator over files, has a
 * reference to that file for a moment. If the owner closes it in that moment, the socket is
 * released at the end of the asking task's system call. A thread that reads from a socket while
 * another thread of its process closes it is not such a task: its descriptor is closed by now, or
 * belongs to another file. User space knows whose socket it is, and decides. */
static __always_inline bool may_be_bystander(void)
{
	const void *regs;
	__u32 fd;
	int call;

	if (!have_call_registers)
		return false;
	regs = (const void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	call = call_number(regs);
	if (is_lookup_call(call))
		return true;
	if (!is_read_call(call))
		return false;
	fd = call_argument(regs, 0);
	return file_of_descriptor(fd) && !tcp_socket_of_descriptor(fd);
}

static __always_inline void put_process(struct event *e, const struct sock *sk)
{
	struct task_struct *task = current_task();
	unsigned int flags = BPF_CORE_READ(task, flags);
	bool open = file_open(sk);

	if (flags & PF_KTHREAD)
		return; /* a kworker releases a socket that was on its way to another process */
	put_caller(e);
	if (!open && sk->sk_socket && !(flags & PF_EXITING) && may_be_bystander())
		e->flags |= BYSTANDER;
	if (open)
		e->flags |= FILE_OPEN;
	if (flags & PF_EXITING) {
		e->flags |= EXITING;
		e->signal = killing_signal(task);
	}
}

#endif
