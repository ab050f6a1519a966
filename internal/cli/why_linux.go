package cli

import (
	"bufio"
	"fmt"
	"net/netip"

	"github.com/tcptrace/tcptrace/internal/host"
	"github.com/tcptrace/tcptrace/internal/sockdiag"
	"github.com/tcptrace/tcptrace/internal/text"
	"github.com/tcptrace/tcptrace/internal/why"
)

func runWhy(app *app, color string, addr netip.Addr, port uint16) error {
	question, err := gatherQuestion(addr, port)
	if err != nil {
		return err
	}
	if err := app.dropAllRights(); err != nil {
		return err
	}
	w := bufio.NewWriterSize(app.stdout, outputBuffer)
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
func gatherQuestion(addr netip.Addr, port uint16) (*why.Question, error) {
	jiffy, err := host.Jiffy()
	if err != nil {
		return nil, err
	}
	netns, err := host.NetNS("/proc/self/ns/net")
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
	found, err := diag.Scan(sockdiag.Query{LocalPort: port})
	if err != nil {
		return nil, err
	}
	settings, err := sockdiag.ReadSettings(netns)
	if err != nil {
		return nil, err
	}
	foreign, err := host.IsForeign(addr)
	if err != nil {
		return nil, err
	}
	return &why.Question{
		Addr: addr, Port: port, Time: host.Now(), NetNS: netns, Sockets: found.Sockets,
		Settings: settings, Foreign: foreign && !settings.Nonlocal,
		Exact: found.Exact, Unseen: found.UnseenNamespaces,
	}, nil
}
