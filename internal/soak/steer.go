//go:build linux

package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// steer spreads the packets that a namespace's loopback receives over all processors
// (receive packet steering): softirqs then interrupt the tracers' programs at work, and
// events are lost.
func (ns *namespace) steer() error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its mounts
		done <- ns.steerHere()
	}()
	if err := <-done; err != nil {
		return fmt.Errorf("steer the packets of a namespace: %w", err)
	}
	return nil
}

// steerHere works on a thread of its own: sysfs shows the namespace of who mounts it.
func (ns *namespace) steerHere() error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("make a mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the mounts private: %w", err)
	}
	if err := enter(ns.file); err != nil {
		return err
	}
	if err := unix.Mount("sysfs", "/sys", "sysfs", 0, ""); err != nil {
		return fmt.Errorf("mount sysfs: %w", err)
	}
	mask := strconv.FormatUint(1<<runtime.NumCPU()-1, 16)
	return os.WriteFile("/sys/class/net/lo/queues/rx-0/rps_cpus", []byte(mask), 0)
}
