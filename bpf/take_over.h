/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Copyright (c) 2026 The tcptrace authors */
/* How an event is reported although the kernel skips a program.
 *
 * The kernel does not run a program that is already running on the same CPU. An event that
 * happens there meanwhile is lost to that program:
 *
 *   - a softirq interrupts the program, and a segment changes the state of another socket;
 *   - from 7.0 on, the task is preempted inside the program: the program is then skipped for
 *     all other tasks on that CPU until the first one runs again.
 *
 * So a program whose events nothing else reports has followers: copies that are attached behind
 * it, at the same tracepoint. The kernel runs them one after the other, and skips only those that
 * are already running. Each event goes through these steps:
 *
 *   1. The first program reports the event if the filter wants it, and sets a mark: "this event
 *      is reported, N followers have not seen it yet" (mark_reported).
 *   2. A follower looks at the mark (take_over_unreported). If the mark is about this event and
 *      still counts a follower, the event is reported: the follower subtracts one, and is done.
 *   3. Otherwise the programs before it were skipped. The follower takes over: it sets the mark
 *      for the followers behind it, adds one to taken_over_events, and reports the event with
 *      the flag AGAIN.
 *
 * Example with three followers. Task A changes socket 1 and is preempted in the first program.
 * Task B, on the same CPU, closes socket 2, ESTABLISHED>FIN_WAIT1:
 *
 *   program      what happens                               mark of socket 2 afterwards
 *   first        skipped: it is running for task A          of an earlier event, or empty
 *   follower 1   the mark is not about this event: it       ESTABLISHED>FIN_WAIT1, 2 to come
 *                takes over, and reports with AGAIN
 *   follower 2   the mark is about this event: done         ESTABLISHED>FIN_WAIT1, 1 to come
 *   follower 3   the mark is about this event: done         ESTABLISHED>FIN_WAIT1, 0 to come
 *
 * The count tells two equal events of one socket apart, such as FIN_WAIT2>FIN_WAIT2 twice: when
 * all followers have seen the first one, its mark says "0 to come", which hides no second one.
 *
 * An event may be reported twice, but none is lost by this. Each CPU has its own marks, in a
 * small table. All events of a socket happen under its lock, so its mark is about this event or
 * an earlier one. But another socket may take the same place in the table between two programs,
 * or the task may move to another CPU: then a follower does not find the mark, and reports once
 * more. internal/correlate drops a transition with AGAIN that is equal to the last transition of
 * its socket. A second report of the same RST repeats what the first one said. */
#ifndef TCPTRACE_TAKE_OVER_H
#define TCPTRACE_TAKE_OVER_H

#include "event.h"

#define MARKED_CPUS 128 /* CPUs beyond these share the marks of others */
#define MARK_BITS 6
#define MARKS_PER_CPU (1 << MARK_BITS)

static __u64 marks[MARKED_CPUS * MARKS_PER_CPU];

/* How many followers stand behind the first program of a tracepoint. Set once by the loader. */
const volatile __u8 follower_count = 1;

/* How many events followers took over: as many as the first programs were skipped for, without
 * those that are lost, and with those that are reported twice. Written here, read by
 * internal/probe. */
__u64 taken_over_events;

/* Returns a number for the subject of an event: the socket, or the segment if there is no socket.
 * The verifier forbids arithmetic with addresses, except for the distance between two. */
static __always_inline __u64 subject_number(const void *subject)
{
	__u64 distance = (__u64)subject;

	asm volatile("%0 -= %1" : "+r"(distance) : "r"(marks));
	return distance;
}

/* Returns the place of a subject's mark among those of this CPU. Several subjects share a place. */
static __always_inline __u64 *mark_of(__u64 subject)
{
	__u64 place = bpf_get_smp_processor_id() * MARKS_PER_CPU | subject * 0x9e3779b97f4a7c15 >> (64 - MARK_BITS);

	/* Older verifiers see the bounds only if a mask comes last. */
	asm volatile("%0 &= %1" : "+r"(place) : "i"(MARKED_CPUS * MARKS_PER_CPU - 1));
	return &marks[place];
}

/* Returns the mark of an event with no follower to come. The lowest three bits are for their
 * count; the others tell the event from the one before. */
static __always_inline __u64 event_mark(enum kind kind, __u64 subject, int from, int to)
{
	return subject << 15 | (kind & 15) << 11 | (from & 15) << 7 | (to & 15) << 3;
}

/* Marks an event as reported: the first program calls it. */
static __always_inline void mark_reported(enum kind kind, const void *subject, int from, int to)
{
	__u64 number = subject_number(subject);

	*mark_of(number) = event_mark(kind, number, from, to) | follower_count;
}

/* Reports whether a follower must report an event, as no program before it did, and updates the
 * mark for the followers behind it. */
static __always_inline bool take_over_unreported(enum kind kind, const void *subject, int from, int to)
{
	__u64 number = subject_number(subject);
	__u64 none_to_come = event_mark(kind, number, from, to);
	__u64 *mark = mark_of(number);

	if (*mark > none_to_come && *mark <= (none_to_come | follower_count)) {
		--*mark;
		return false;
	}
	*mark = none_to_come | (follower_count - 1);
	__sync_fetch_and_add(&taken_over_events, 1);
	return true;
}

#endif
