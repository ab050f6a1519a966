/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Copyright (c) 2026 The tcptrace authors */
/* The fixed-width names that libbpf's helper declarations expect, and the few
 * constants of the BPF system call that the programs name. */
#ifndef TCPTRACE_TYPES_H
#define TCPTRACE_TYPES_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef signed int __s32;
typedef unsigned int __u32;
typedef signed long long __s64;
typedef unsigned long long __u64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef _Bool bool;

#define NULL ((void *)0)
#define true 1
#define false 0

/* enum bpf_map_type, include/uapi/linux/bpf.h */
#define BPF_MAP_TYPE_HASH 1
#define BPF_MAP_TYPE_LRU_HASH 9
#define BPF_MAP_TYPE_RINGBUF 27

/* of bpf_map_update_elem() */
#define BPF_ANY 0
#define BPF_NOEXIST 1

#endif
