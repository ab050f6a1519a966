/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Copyright (c) 2026 The tcptrace authors */
/* The ring buffer that carries records to user space, and the count of those it refused. */
#ifndef TCPTRACE_RING_H
#define TCPTRACE_RING_H

#include "event.h"
#include "filter.h"

/* Written by every program, read by internal/probe. 32 MiB hold 220,000 records: nearly
 * half a second at the highest rate that two CPUs reach. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 25);
	__type(value, struct event);
} events SEC(".maps");

/* How many records the full ring refused, and how many of them a RING_GAP has reported. Written
 * here; internal/probe reads the first one. */
__u64 ring_refused;
__u64 ring_reported;

/* Writes a RING_GAP where records are missing, as soon as there is room. Two CPUs may both do so;
 * their records then have the same count. */
static __noinline int report_gap(void)
{
	__u64 refused = ring_refused;
	struct event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);

	if (!e)
		return 0;
	__builtin_memset(e, 0, sizeof(*e));
	e->time = bpf_ktime_get_boot_ns();
	e->kind = RING_GAP;
	e->cookie = refused;
	ring_reported = refused;
	bpf_ringbuf_submit(e, 0);
	return 0;
}

static __always_inline struct event *reserve_event(enum kind kind)
{
	struct event *e;

	if (ring_refused != ring_reported)
		report_gap();
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		__sync_fetch_and_add(&ring_refused, 1);
		return NULL;
	}
	e->time = bpf_ktime_get_boot_ns();
	e->kind = kind;
	e->from = 0;
	e->to = 0;
	e->flags = 0;
	e->tcp_flags = 0;
	e->signal = 0;
	e->error = 0;
	e->pid = 0;
	e->uid = 0;
	e->cgroup = 0;
	e->reason = 0;
	e->call = 0;
	e->silent = 0;
	return e;
}

static __always_inline void submit_event(struct event *e)
{
	if (addresses_wanted(e))
		bpf_ringbuf_submit(e, 0);
	else
		bpf_ringbuf_discard(e, 0);
}

#endif
