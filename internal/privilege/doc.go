// Package privilege gives up the rights that a trace needs no more once it is attached, and
// says by name which right is missing where the kernel refuses something.
//
// What needs which capability was found out on Linux 6.18, one at a time, and the tests hold it
// against the kernel that they run on. CAP_SYS_ADMIN stands for CAP_BPF and CAP_PERFMON.
//
//	load the programs and the iterators   CAP_BPF and CAP_PERFMON, whatever
//	                                      kernel.unprivileged_bpf_disabled says; before 5.11
//	                                      CAP_SYS_RESOURCE, for more locked memory than ulimit -l
//	the address of tw_timer_handler       CAP_SYSLOG; with kernel.kptr_restrict 0 and
//	                                      kernel.perf_event_paranoid 1 or less nothing, with
//	                                      kernel.kptr_restrict 2 nobody gets it: then
//	                                      CAP_SYS_ADMIN and CAP_NET_ADMIN, for a network namespace
//	                                      with two sockets whose timers tell
//	the numbers of system calls' events   CAP_SYS_ADMIN: tracefs is mounted aside. Its files are
//	                                      root's: another user needs CAP_DAC_READ_SEARCH as well
//	open those events                     CAP_PERFMON; Debian's kernels take CAP_SYS_ADMIN where
//	                                      kernel.perf_event_paranoid is 3, as it is by default
//	attach all of them                    nothing more
//	prefer the reader (nice)              CAP_SYS_NICE
//
// A kernel that is locked down for confidentiality lets nobody load the programs: its verifier
// refuses what reads the kernel's memory.
//
// From then on:
//
//	read the ring, the counters and what  nothing
//	the kernel skipped; detach
//	look at all open files, and at the    nothing; before 5.19 CAP_BPF where
//	sockets of the own network namespace  kernel.unprivileged_bpf_disabled is not 0
//	enter another network namespace       CAP_SYS_ADMIN
//	find it by a process of another user  CAP_SYS_PTRACE
//	the path of a cgroup                  nothing: without CAP_SYS_ADMIN (from 6.11 on) or
//	                                      CAP_DAC_READ_SEARCH all are gone through
//	hand a signal on to a command         CAP_KILL, once the trace runs as another user than that
//	make the next file of a recording     nothing where the user may write there, else
//	                                      CAP_DAC_OVERRIDE, CAP_FOWNER and CAP_CHOWN
//
// # What is kept
//
// A trace keeps CAP_SYS_ADMIN and CAP_SYS_PTRACE, and with --netns current nothing at all.
// CAP_KILL comes to that with a command, and those for files where the process, as whoever it
// is by then, may not write to the directory that a rotation goes on in. The rest goes on all
// threads: from the permitted, effective, inheritable, ambient and bounding set. With
// no_new_privs no program that is started later gets any of it back.
//
// Started by sudo, the process becomes the user behind it with that user's groups, unless the
// next file of a recording is to be made where the user may not write: then it stays root,
// with what is listed above. The first file is made before, so that without a rotation the
// place does not matter. SUDO_UID and SUDO_GID come from the environment: they count for root
// alone, who may become anybody, and as numbers. As the process changes its user, the kernel
// lets nobody but root trace it or read its memory, and writes no core of it.
//
// A command is started before all this, and has the rights of the caller. The verbs that read
// captures open them first and then keep nothing, and so does why after its look. The demo keeps
// its rights: it makes network namespaces to its end.
//
// # When it fails
//
// To lower capabilities takes no right. If that fails all the same, the trace ends with an error
// before its first event, rather than run on as root. What the surroundings may refuse is told
// by a warning, and the rest is given up nevertheless: a container without CAP_SETUID, or in
// which the user does not exist, cannot become that user. Without CAP_SETPCAP the bounding set
// stays as it is, untold: no_new_privs makes up for it.
package privilege
