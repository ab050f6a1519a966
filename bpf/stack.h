/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Copyright (c) 2026 The tcptrace authors */
/* The user stacks of the calls that close connections. They have a ring of their own: they are a sixty times as long
 * as an event. A stack is sent before the event that it belongs to. */
#ifndef TCPTRACE_STACK_H
#define TCPTRACE_STACK_H

#include "compat.h"
#include "event.h"
#include "filter.h"
#include "kernel.h"

/* Stacks are taken. */
const volatile bool take_stacks;

/* How many are taken a second at most. */
const volatile __u32 stacks_a_second;

/* Written by the programs, read by internal/probe. It holds 900 stacks. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 23);
	__type(value, struct user_stack);
} stacks SEC(".maps");

/* The processes that were reported as new, with where their stack began. Only the map itself deletes entries: one that
 * it deleted too early is reported once more. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u64);
} stack_processes SEC(".maps");

/* How many stacks were taken in a second, since boot, and how many were not taken: there were too many, or the ring was
 * full. Two CPUs may count at the same time: then a few more are taken. internal/probe reads the last one. */
__u64 stack_second;
__u64 stacks_taken;
__u64 stacks_missed;

static __always_inline bool within_budget(__u64 now)
{
	__u64 second = now / 1000000000;

	if (stack_second != second) {
		stack_second = second;
		stacks_taken = 0;
	}
	if (stacks_taken >= stacks_a_second)
		return false;
	__sync_fetch_and_add(&stacks_taken, 1); /* before 5.12 it has no result */
	return true;
}

static __always_inline __u64 start_of_stack(void)
{
	return BPF_CORE_READ(current_task(), mm, start_stack);
}

/* Writes which process has the stack, and by which its memory is known again. */
static __always_inline void put_address_space(struct user_stack *s)
{
	s->pid = bpf_get_current_pid_tgid() >> 32;
	s->start_stack = start_of_stack();
	s->exec_pages = BPF_CORE_READ(current_task(), mm, exec_vm);
}

/* Copies the registers and returns the stack pointer, or 0. */
static __always_inline __u64 put_registers(struct user_stack *s, const void *regs)
{
	if (bpf_core_field_exists(struct pt_regs___amd64, orig_ax)) {
		if (bpf_probe_read_kernel(s->registers, 21 * 8, regs))
			return 0;
		return BPF_CORE_READ((const struct pt_regs___amd64 *)regs, sp);
	}
	if (bpf_probe_read_kernel(s->registers, 34 * 8, regs))
		return 0;
	return BPF_CORE_READ((const struct pt_regs___arm64 *)regs, sp);
}

/* Copies the stack from the stack pointer on, piece by piece: no piece goes over the end of a page, so that a read that
 * fails costs no byte before it. */
static __always_inline void copy_stack(struct user_stack *s, __u64 sp)
{
	s->base = sp & ~(__u64)(STACK_PIECE - 1);
	s->length = 0;
	for (int i = 0; i < STACK_PIECES; i++) {
		if (bpf_probe_read_user(s->memory + i * STACK_PIECE, STACK_PIECE,
					(const void *)(s->base + i * STACK_PIECE)))
			return;
		s->length += STACK_PIECE;
	}
}

/* Reports whether a change is one that closes first, or that ends in a RST. */
static __always_inline bool wants_stack(const struct event *e)
{
	if (!(e->flags & BY_PROCESS) || e->flags & (EXITING | BYSTANDER))
		return false;
	if (e->call && e->call != DISCONNECT_CALL && e->call != LISTENER_CALL)
		return false;
	return e->to == TCP_FIN_WAIT1 || (e->to == TCP_CLOSE && e->from != TCP_LISTEN && e->from != TCP_SYN_SENT);
}

/* Sends the stack of the running call, and returns 1 if it did. */
static __always_inline __u8 send_stack(const struct event *e)
{
	struct user_stack *s;
	__u64 sp;

	if (!within_budget(e->time))
		goto missed;
	s = bpf_ringbuf_reserve(&stacks, sizeof(*s), 0);
	if (!s)
		goto missed;
	s->time = e->time;
	s->sock = e->sock;
	put_address_space(s);
	sp = put_registers(s, (const void *)bpf_task_pt_regs(bpf_get_current_task_btf()));
	copy_stack(s, sp);
	bpf_ringbuf_submit(s, 0);
	return 1;
missed:
	__sync_fetch_and_add(&stacks_missed, 1);
	return 0;
}

/* Sends the stack of the call that makes a change, if it is wanted. The event is complete by now. */
static __always_inline void put_stack(struct event *e)
{
	if (!take_stacks || !have_call_registers)
		return;
	if (!wants_stack(e) || !addresses_wanted(e))
		return;
	if (BPF_CORE_READ(current_task(), flags) & PF_IO_WORKER)
		return; /* it works for a task that has gone on */
	e->stack_sent = send_stack(e);
}

/* Reports a process that listens or has got a connection, once: user space then reads which code the process has. When
 * the process closes the connection, it may end directly after. */
static __always_inline void report_stack_process(void)
{
	__u32 pid = bpf_get_current_pid_tgid() >> 32;
	__u64 start, *known;
	struct user_stack *s;

	if (!take_stacks)
		return;
	start = start_of_stack();
	known = bpf_map_lookup_elem(&stack_processes, &pid);
	if (!start || (known && *known == start))
		return;
	bpf_map_update_elem(&stack_processes, &pid, &start, BPF_ANY);
	s = bpf_ringbuf_reserve(&stacks, STACK_HEADER, 0);
	if (!s)
		return;
	s->time = 0;
	s->sock = 0;
	s->base = 0;
	s->length = 0;
	put_address_space(s);
	bpf_ringbuf_submit(s, 0);
}

#endif
