package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/tcptrace/tcptrace/internal/host"
	"github.com/tcptrace/tcptrace/internal/sockdiag"
	"github.com/tcptrace/tcptrace/internal/text"
	"github.com/tcptrace/tcptrace/internal/why"
)

func runWhy(ctx context.Context, app *app, color string, addr netip.Addr, port uint16) error {
	if err := host.RequireProc(); err != nil {
		return err
	}
	question, err := gatherQuestion(ctx, addr, port)
	if err != nil {
		return err
	}
	if err := app.dropAllRights(); err != nil {
		return err
	}
	w := bufio.NewWriterSize(app.out, outputBuffer)
	p := text.New(w, textOptions(app.stdout, color, host.Clock()))
	p.Why(why.Find(*question))
	if err := p.Flush(); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
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
	q.Exact, q.Complete, q.Outer, q.Unseen = found.Exact, found.Complete, found.OuterProcesses, found.UnseenNamespaces
	settings, ok := found.Settings[q.NetNS]
	if !ok {
		return nil, errors.New("the settings of the network namespace below /proc/sys/net/ipv4 cannot be read: mount /proc")
	}
	q.Settings = settings
	return q, nil
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
