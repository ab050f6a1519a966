/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Copyright (c) 2026 The tcptrace authors */
/* The paths of new cgroups. A record has the id of a socket's cgroup. A container may be gone, and its
 * cgroup with it, before user space looks for the path of that id. */
#ifndef TCPTRACE_CGROUP_H
#define TCPTRACE_CGROUP_H

#include "kernel.h"

#define NEW_CGROUPS 512
#define CGROUP_PATH_LENGTH 504

struct new_cgroup {
	__u64 id; /* 0: the path is not there, or not whole */
	char path[CGROUP_PATH_LENGTH];
};

/* The latest cgroups. Written here, the oldest first; read by internal/probe. */
struct new_cgroup new_cgroups[NEW_CGROUPS];

/* How many cgroups were written. */
__u64 new_cgroup_count;

/* Notes the path of a new cgroup of version 2. */
static __always_inline void note_cgroup(struct cgroup *cgroup, const char *path)
{
	struct new_cgroup *place;
	__u64 number;

	if (cgroup->root->hierarchy_id)
		return;
	/* The kernel makes one cgroup at a time (cgroup_mutex). An atomic addition that returns a value needs 5.12. */
	number = new_cgroup_count++;
	place = &new_cgroups[number & (NEW_CGROUPS - 1)];
	place->id = 0;
	barrier();
	if (bpf_probe_read_kernel_str(place->path, sizeof(place->path), path) >= CGROUP_PATH_LENGTH)
		return;
	barrier();
	place->id = cgroup->kn->id;
}

#endif
