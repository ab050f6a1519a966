/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Copyright (c) 2026 The tcptrace authors */
/* The command that is traced, and all processes that descend from it: its family. */
#ifndef TCPTRACE_FAMILY_H
#define TCPTRACE_FAMILY_H

#include "event.h"
#include "kernel.h"
#include "ring.h"

/* The processes of the family by their ids, each with the address of its first thread. A process joins at
 * fork, and leaves when the kernel frees it: it has closed its sockets by then. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, __u64);
} family SEC(".maps");

/* The process whose next child is the first one of the family; 0: there is none. Set by internal/probe. */
__u32 family_founder;

static __always_inline void report_family(enum kind kind, __u32 pid)
{
	struct event *e = reserve_event(kind);

	if (!e)
		return;
	e->sock = 0;
	e->cookie = 0;
	e->netns = 0;
	e->local_port = 0;
	e->remote_port = 0;
	__builtin_memset(e->local, 0, sizeof(e->local));
	__builtin_memset(e->remote, 0, sizeof(e->remote));
	e->pid = pid;
	bpf_ringbuf_submit(e, 0);
}

/* Notes a new task. A process that is not of the family may get the id of one that was. */
static __always_inline void note_fork(struct task_struct *parent, struct task_struct *child)
{
	__u32 from = parent->tgid;
	__u32 pid = child->tgid;
	__u64 task = (__u64)child;

	if (pid != child->pid)
		return; /* a thread */
	if (from == family_founder || bpf_map_lookup_elem(&family, &from)) {
		if (!bpf_map_update_elem(&family, &pid, &task, BPF_ANY))
			report_family(PROCESS_JOINED, pid);
	} else if (bpf_map_lookup_elem(&family, &pid)) {
		bpf_map_delete_elem(&family, &pid);
		report_family(PROCESS_LEFT, pid);
	}
}

/* Notes that a task is freed. Another process may have its id by now. */
static __always_inline void note_free(struct task_struct *task)
{
	__u32 pid = task->tgid;
	__u64 *known;

	if (pid != task->pid)
		return;
	known = bpf_map_lookup_elem(&family, &pid);
	if (!known || *known != (__u64)task)
		return;
	bpf_map_delete_elem(&family, &pid);
	report_family(PROCESS_LEFT, pid);
}

#endif
