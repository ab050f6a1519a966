/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Copyright (c) 2026 The tcptrace authors */
/* Which process acts. The task on the CPU is the actor only inside its own system call; elsewhere
 * it is a task that a softirq interrupted. */
#ifndef TCPTRACE_PROCESS_H
#define TCPTRACE_PROCESS_H

#include "compat.h"
#include "descriptor.h"
#include "event.h"
#include "exec.h"
#include "kernel.h"
#include "system_call.h"

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

/* Reports whether the task may release a socket that another process closed. A task that asks for
 * the file of a descriptor, by the links of /proc/PID/fd or by an iterator over files, has a
 * reference to that file for a moment. If the owner closes it in that moment, the socket is
 * released at the end of the asking task's system call. A task may release a socket that it never
 * had, too, if it receives a message with that in it and has no room, or closes the Unix socket
 * that the message waits in: close() itself is over then, if it releases its own file before. A
 * thread that reads from a socket while another thread of its process closes it is not such a task:
 * its descriptor is closed by now, or belongs to another file. User space knows whose socket it is,
 * and decides. */
static __always_inline bool may_be_bystander(const void *regs, int call)
{
	__u32 fd;

	if (is_close_call(call))
		return have_prompt_close && has_returned(regs);
	if (is_lookup_call(call))
		return true;
	if (!is_read_call(call) && !is_receive_call(call))
		return false;
	fd = call_argument(regs, 0);
	return file_of_descriptor(fd) && !tcp_socket_of_descriptor(fd);
}

/* Returns by which call the task changed a socket whose file stays open, if it was not shutdown(). */
static __always_inline enum call call_on_open_file(void)
{
	const void *regs;
	__u16 family;
	int call;

	if (!have_call_registers)
		return UNKNOWN_CALL;
	regs = (const void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	call = call_number(regs);
	if (is_connect_call(call)) {
		if (bpf_probe_read_user(&family, sizeof(family), (const void *)call_argument(regs, 1)))
			return UNKNOWN_CALL;
		return family == AF_UNSPEC ? DISCONNECT_CALL : CONNECT_CALL;
	}
	return sends_netlink(regs, call) ? DESTROY_CALL : 0;
}

/* Reports whether the task sends a request by netlink just now. It may be one to destroy a socket;
 * or the task was interrupted. */
static __always_inline bool may_destroy(void)
{
	const void *regs;

	if (!have_call_registers)
		return false;
	regs = (const void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	return sends_netlink(regs, call_number(regs));
}

/* Writes that the task ends, and how. */
static __always_inline void put_exit(struct event *e, struct task_struct *task)
{
	e->flags |= EXITING;
	e->signal = killing_signal(task);
}

/* Writes by which call the task released a socket, if it was not close(). */
static __always_inline void put_release(struct event *e)
{
	const void *regs;
	int call;

	if (!have_call_registers) {
		put_exec(e);
		return;
	}
	regs = (const void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	call = call_number(regs);
	if (may_be_exec_call(call) && put_exec(e))
		return;
	if (may_be_bystander(regs, call))
		e->flags |= BYSTANDER;
}

/* Writes which process closed a socket, or released it last, and by which call. */
static __always_inline void put_process(struct event *e, const struct sock *sk)
{
	struct task_struct *task = current_task();
	unsigned int flags = BPF_CORE_READ(task, flags);
	bool open = file_open(sk);

	if (flags & PF_KTHREAD)
		return; /* a kworker releases a socket that was on its way to another process */
	put_caller(e);
	if (open)
		e->flags |= FILE_OPEN;
	if (flags & PF_EXITING)
		put_exit(e, task);
	else if (open)
		e->call = e->to == TCP_CLOSE ? call_on_open_file() : 0;
	else if (sk->sk_socket)
		put_release(e);
}

/* Reports whether a socket waits in an accept queue: no process has had it open yet. */
static __always_inline bool is_unaccepted(const struct sock *sk)
{
	return !sk->sk_socket && !(sk->__sk_common.skc_flags & 1 << SOCK_DEAD);
}

/* Writes who closed the listener in whose accept queue a socket is. Without an error, nothing else
 * ends such a socket. */
static __always_inline void put_closer_of_listener(struct event *e)
{
	struct task_struct *task = current_task();
	unsigned int flags = BPF_CORE_READ(task, flags);

	if (flags & PF_KTHREAD)
		return;
	put_caller(e);
	if (flags & PF_EXITING)
		put_exit(e, task);
	else
		put_exec(e);
	e->call = LISTENER_CALL;
}

#endif
