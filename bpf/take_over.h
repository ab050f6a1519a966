/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Copyright (c) 2026 The tcptrace authors */
/* Which program takes an event, where several look at one tracepoint.
 *
 * The kernel skips a program that runs on the processor already: where a segment comes while a
 * system call changes a socket's state, and from 7.0 on also where a task loses the processor
 * in the middle of a program, for what all other tasks do until it has it again. So each event
 * that no other one tells has two programs or more, which see it one after the other: the
 * first one that is not skipped takes it, and leaves a mark for those behind.
 *
 * The marks are each processor's own. All events of a socket come under its lock, so its mark
 * is of this event or of an earlier one. Should another socket have taken the place meanwhile,
 * or the task gone on elsewhere, a follower takes what was taken; user space knows that again. */
#ifndef TCPTRACE_TAKE_OVER_H
#define TCPTRACE_TAKE_OVER_H

#include "event.h"

#define MARKED_CPUS 128 /* those beyond share */
#define MARKS 64        /* of a processor */

static __u64 marks[MARKED_CPUS * MARKS];

/* How many programs of a tracepoint come behind the first one. Set once by the loader. */
const volatile __u8 follower_count = 1;

/* What followers took: as much as the first programs were skipped for, less what was lost, and
 * more by what was taken twice. Written here, read by internal/probe. */
__u64 taken_over_events;

/* A number for what an event is about: a socket, or the segment where there is none. The verifier
 * lets nobody reckon with addresses, but for the distance of two. */
static __always_inline __u64 subject_number(const void *subject)
{
	__u64 distance = (__u64)subject;

	asm volatile("%0 -= %1" : "+r"(distance) : "r"(marks));
	return distance;
}

static __always_inline __u64 *mark_slot(__u64 subject)
{
	__u64 place = bpf_get_smp_processor_id() * MARKS | subject * 0x9e3779b97f4a7c15 >> 58;

	/* Older verifiers see no bounds but in a mask that comes last. */
	asm volatile("%0 &= %1" : "+r"(place) : "i"(MARKED_CPUS * MARKS - 1));
	return &marks[place];
}

/* An event by what tells it from the one before. The lowest three bits count the programs that
 * are still to come. */
static __always_inline __u64 event_key(enum kind kind, __u64 subject, int from, int to)
{
	return subject << 15 | (kind & 15) << 11 | (from & 15) << 7 | (to & 15) << 3;
}

/* The first program has seen an event. */
static __always_inline void mark_reported(enum kind kind, const void *subject, int from, int to)
{
	__u64 n = subject_number(subject);

	*mark_slot(n) = event_key(kind, n, from, to) | follower_count;
}

/* Says whether a follower must take an event, as nobody did. */
static __always_inline bool take_over_unreported(enum kind kind, const void *subject, int from, int to)
{
	__u64 n = subject_number(subject);
	__u64 key = event_key(kind, n, from, to);
	__u64 *mark = mark_slot(n);

	if (*mark > key && *mark <= (key | follower_count)) {
		--*mark;
		return false;
	}
	*mark = key | (follower_count - 1);
	__sync_fetch_and_add(&taken_over_events, 1);
	return true;
}

#endif
