/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Copyright (c) 2026 The tcptrace authors */
/* Sockets that execve() closes because they are close-on-exec. They are released once execve() is
 * done, on the way back to user space: by then the task has the new program's name. */
#ifndef TCPTRACE_EXEC_H
#define TCPTRACE_EXEC_H

#include "compat.h"
#include "event.h"
#include "kernel.h"

/* What is known of a process that calls execve(). */
struct exec {
	__u64 faults;  /* its page faults when execve() was done; NOT_DONE: it is not */
	char comm[16]; /* before */
};

#define NOT_DONE (~0ULL)

/* The latest exec of each process, by its id. It is written as the exec goes on, and read when a
 * process closes a socket. Only the map itself deletes entries: only the latest ones are needed. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct exec);
} execs SEC(".maps");

static __always_inline __u64 page_faults(struct task_struct *task)
{
	return BPF_CORE_READ(task, min_flt) + BPF_CORE_READ(task, maj_flt);
}

/* Notes the name of a process that is about to get another name, as in execve(). By then a thread
 * that calls execve() is the only one of its process. */
static __always_inline void note_name(struct task_struct *task)
{
	__u64 thread = bpf_get_current_pid_tgid();
	__u32 pid = thread >> 32;
	struct exec exec = { .faults = NOT_DONE };

	if (pid != (__u32)thread || BPF_CORE_READ(task, pid) != pid)
		return;
	BPF_CORE_READ_INTO(&exec.comm, task, comm);
	bpf_map_update_elem(&execs, &pid, &exec, BPF_ANY);
}

/* Notes that execve() is done. */
static __always_inline void note_exec(struct task_struct *task)
{
	__u32 pid = bpf_get_current_pid_tgid() >> 32;
	struct exec *exec = bpf_map_lookup_elem(&execs, &pid);

	if (exec)
		exec->faults = page_faults(task);
}

/* Reports whether execve() closes a socket. If so, it writes that, and the name of the program
 * before. The new program has not begun: it has no page in memory, so its first instruction
 * makes a page fault. */
static __always_inline bool put_exec(struct event *e)
{
	__u32 pid = e->pid;
	const struct exec *exec = bpf_map_lookup_elem(&execs, &pid);

	if (!exec || pid != (__u32)bpf_get_current_pid_tgid() || exec->faults != page_faults(current_task()))
		return false;
	e->call = EXEC_CALL;
	__builtin_memcpy(e->comm, exec->comm, sizeof(e->comm));
	return true;
}

#endif
