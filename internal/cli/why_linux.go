package cli

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/container"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/helper"
	"github.com/tcptrace/tcptrace/internal/host"
	"github.com/tcptrace/tcptrace/internal/sockdiag"
	"github.com/tcptrace/tcptrace/internal/why"
)

func runWhy(ctx context.Context, app *app, o *whyOptions) error {
	if err := host.RequireProc(); err != nil {
		return err
	}
	if err := enterNetNS(o.netns); err != nil {
		return err
	}
	question, err := gatherQuestion(ctx, o.addr, o.port)
	if err != nil {
		return err
	}
	question.Reuseaddr = o.reuseaddr
	if err := app.dropAllRights(); err != nil {
		return err
	}
	return answerWhy(app, o, question, host.Clock())
}

// enterNetNS goes on in another network namespace. A thread can enter one, and a program that a thread
// executes begins where the thread is: the same command is executed anew.
func enterNetNS(name string) error {
	wanted, err := parseNetNS(name)
	if err != nil || wanted == 0 {
		return err
	}
	own, err := host.NetNS("/proc/self/ns/net")
	if err != nil || wanted == own {
		return err
	}
	runtime.LockOSThread()
	switch err := helper.Enter(wanted); {
	case errors.Is(err, helper.ErrClosed):
		return codeError{exitNotPermitted, fmt.Errorf("enter network namespace %s: not permitted: run it with sudo", name)}
	case err != nil:
		return fmt.Errorf("enter network namespace %s: %w", name, err)
	}
	return fmt.Errorf("continue in network namespace %s: %w", name, unix.Exec("/proc/self/exe", os.Args, os.Environ()))
}

// gatherQuestion gathers what there is to answer the question of a port.
func gatherQuestion(ctx context.Context, addr netip.Addr, port uint16) (*why.Question, error) {
	q := &why.Question{Addr: addr.WithZone(""), Port: port}
	if err := askHost(q, addr.Zone()); err != nil {
		return nil, err
	}
	jiffy, err := host.Jiffy()
	if err != nil {
		return nil, err
	}
	cgroups := host.OpenCgroups()
	defer cgroups.Close()
	diag, err := sockdiag.Open(jiffy, cgroups.Path, nil)
	if err != nil {
		return nil, err
	}
	defer diag.Close()
	if why := diag.WhyInexact(); why != nil && !isNotPermitted(why) {
		q.Inexact = why.Error()
	}
	found, err := diag.Scan(ctx, sockdiag.Query{LocalPort: port, ListBound: q.NetNS, FindNoDescriptor: true, OwnPIDs: true, Settings: true})
	if err != nil {
		return nil, err
	}
	q.Time, q.Sockets = host.Now(), found.Sockets
	nameHomes(q.Sockets)
	q.Exact, q.Complete, q.Outer, q.Unseen = found.Exact, found.Complete, found.OuterProcesses, found.UnseenNamespaces
	settings, ok := found.Settings[q.NetNS]
	if !ok {
		return nil, errors.New("the settings of the network namespace below /proc/sys/net/ipv4 cannot be read: mount /proc")
	}
	q.Settings = settings
	return q, nil
}

// nameHomes says whose the sockets are. Container engines are asked only if one of them is a container's.
func nameHomes(sockets []event.Socket) {
	namespaces := host.NewNetNSNames(host.NamedNetNS)
	inContainer := false
	for i := range sockets {
		s := &sockets[i]
		s.Container, s.NetNSName = container.Of(s.Cgroup), namespaces.Name(s.NetNS)
		inContainer = inContainer || s.Container.IsContainer()
	}
	if !inContainer {
		return
	}
	names := host.OpenContainerNames(host.UsualNameSources)
	defer names.Close()
	named := make(map[string]*event.Container) // by cgroup: looking for a pod reads directories
	for i := range sockets {
		s := &sockets[i]
		if _, done := named[s.Cgroup]; !done {
			named[s.Cgroup] = names.Complete(s.Container)
		}
		s.Container = named[s.Cgroup]
	}
}

// askHost asks about the network namespace, its interfaces, and the address on one of them.
func askHost(q *why.Question, zone string) (err error) {
	if q.NetNS, err = host.NetNS("/proc/self/ns/net"); err != nil {
		return err
	}
	if q.Devices, err = host.InterfaceNames(); err != nil {
		return err
	}
	var index uint32
	if zone != "" {
		if index, err = host.InterfaceIndex(zone); err != nil {
			return usagef("%w", err)
		}
		q.Device = q.Devices[index]
	}
	if q.Addr.IsValid() {
		q.Refused, err = host.BindError(q.Addr, index)
	}
	return err
}
