// Package privilege gives up the privileges that a trace no longer needs once it is attached, and
// names the privilege that is missing when the kernel refuses something.
//
// What needs which capability was found out on Linux 6.18, one at a time, and the tests check it on
// the kernel that they run on. CAP_SYS_ADMIN includes CAP_BPF and CAP_PERFMON.
//
//	load the programs and the iterators   CAP_BPF and CAP_PERFMON, whatever
//	                                      kernel.unprivileged_bpf_disabled says; before 5.11
//	                                      CAP_SYS_RESOURCE, for more locked memory than ulimit -l
//	the address of tw_timer_handler       CAP_SYSLOG; with kernel.kptr_restrict 0 and
//	                                      kernel.perf_event_paranoid 1 or less nothing, with
//	                                      kernel.kptr_restrict 2 nobody gets it: then
//	                                      CAP_SYS_ADMIN and CAP_NET_ADMIN, to make a network
//	                                      namespace with two sockets and read it from their timers
//	the numbers of system calls' events   CAP_SYS_ADMIN, for a private mount of tracefs. Its files
//	                                      belong to root: another user also needs
//	                                      CAP_DAC_READ_SEARCH
//	open those events                     CAP_PERFMON; Debian's kernels want CAP_SYS_ADMIN if
//	                                      kernel.perf_event_paranoid is 3, which is their default
//	attach all of them                    nothing more
//	raise the reader's priority (nice)    CAP_SYS_NICE
//
// On a kernel that is locked down for confidentiality nobody can load the programs: its verifier
// refuses programs that read the kernel's memory.
//
// From then on:
//
//	read the ring and the counters;       nothing; before 5.19 CAP_BPF for what the kernel
//	detach                                skipped, if kernel.unprivileged_bpf_disabled is not 0
//	take a snapshot of all open files     the same
//	and the own namespace's sockets
//	enter another network namespace       CAP_SYS_ADMIN
//	find it by a process of another user  CAP_SYS_PTRACE
//	find the path of a cgroup             nothing: without CAP_SYS_ADMIN (from 6.11 on) or
//	                                      CAP_DAC_READ_SEARCH by going through all cgroups
//	name containers and pods              nothing: the directories of their logs, and a connection on which
//	                                      Docker or Podman sends its events, are opened before; it serves for
//	                                      no other request
//	pass a signal on to a command         CAP_KILL, if the command runs as another user
//	make the next file of a recording     nothing if the user may write there, else
//	                                      CAP_DAC_OVERRIDE, CAP_FOWNER and CAP_CHOWN
//
// # What is kept
//
// A trace keeps nothing, on kernels before 5.19 CAP_BPF. What still takes a right is done by a process of its
// own (package helper). That keeps CAP_SYS_ADMIN and CAP_SYS_PTRACE for other network namespaces, CAP_KILL for
// a command, and the capabilities for files that it needs in the directory of a recording. All other
// capabilities are given up on all threads: from the permitted, effective, inheritable and ambient set. The bounding
// set stays: with no_new_privs no program that is started later gets any of them back.
//
// If it was started by sudo, both processes go on as the user who ran sudo, with that user's groups. The
// helper stays root, with what is listed above, if the next file of a recording must be made in a
// directory where that user may not write. The first file is made before, so without rotation the
// directory does not matter. SUDO_UID and SUDO_GID come from the environment: they count only for
// root, who may become any user, and only as numbers. Nobody without CAP_SYS_PTRACE may trace either process
// or read its memory, and neither leaves a core dump, whatever fs.suid_dumpable says.
//
// A command is started before all this, and has the privileges of the caller. The verbs that read
// captures open them first and then keep nothing, and so does why after its snapshot. The demo keeps
// its privileges: it makes network namespaces until its end.
//
// # When it fails
//
// Giving up capabilities needs no privilege. If it fails all the same, the trace ends with an error
// before its first event, rather than go on as root. A container without CAP_SETUID, or without the
// user, cannot become that user: then a warning says so, and the rest is given up nevertheless.
package privilege
