//go:build linux

// Package demo plays the lab of tcptrace on one machine, without anything else
// installed: a server and a client on two hosts of their own, which are network
// namespaces joined by a veth pair, close their connection in three ways, and the
// server starts again. The trace runs live, and from what it showed each scene is
// explained.
//
// Nothing of it has a name on the machine or outlives this process: see node.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"

	"go.uber.org/zap"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/crash"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/live"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/text"
)

// FlagReuseaddr is the flag that makes the server's command set
// SO_REUSEADDR.
const FlagReuseaddr = "reuseaddr"

// Options say how to play.
type Options struct {
	Out     io.Writer
	Text    text.Options
	Version string
	Log     *zap.Logger
	Follow  bool // stay until the TIME_WAIT of the first scene has run out
	// Record takes what happens on both hosts; nil: nobody does.
	Record pipeline.Sink
	// Apart takes what happens on each host by itself; nil: nobody does.
	Apart map[conn.Role]pipeline.Sink
}

var errOver = errors.New("the demo is over")

// Run plays all scenes. At the end of the context it ends in order and returns the
// context's cause.
func Run(ctx context.Context, o Options) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	d := &demo{Options: o, stage: newStage(o.Out, o.Text)}
	switch {
	case o.Apart != nil:
		d.stage.recording = newRecordingApart(o.Apart)
	case o.Record != nil:
		d.stage.recording = newRecording(o.Record)
	}
	ready := make(chan struct{})
	traced := make(chan error, 1)
	crash.Go(func() {
		err := d.trace(ctx, ready)
		cancel(err)
		traced <- err
	})
	err := d.playScenes(ctx, ready)
	if ctx.Err() != nil {
		err = context.Cause(ctx) // whatever fails then fails for that reason
	}
	cancel(errOver)
	if failed := <-traced; failed != nil {
		return failed
	}
	return err
}

type demo struct {
	Options
	stage *stage
}

func (d *demo) trace(ctx context.Context, ready chan<- struct{}) error {
	port := serverAddr.Port()
	var raw pipeline.Records
	if d.stage.recording != nil {
		raw = d.stage.recording
	}
	return live.Run(ctx, live.Options{
		Raw: raw,
		Filter: event.Filter{
			Ports: event.Ports{{First: port, Last: port}},
			Host:  netip.PrefixFrom(serverAddr.Addr(), serverAddr.Addr().BitLen()),
		},
		Version: d.Version,
		Log:     d.Log,
		Ready:   func() { close(ready) },
	}, d.Text.Clock, d.stage)
}

// playScenes plays the scenes, each in a lab of its own. To follow TIME_WAIT to its end,
// the first scene's stays until the others are over.
func (d *demo) playScenes(ctx context.Context, ready <-chan struct{}) error {
	select {
	case <-ready:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := d.stage.write(writeIntroduction); err != nil {
		return err
	}
	var first *performance
	for i, s := range scenes {
		p, err := d.performScene(ctx, i, s)
		if err != nil {
			return fmt.Errorf("scene %d: %w", i+1, err)
		}
		if i == 0 && d.Follow {
			first = p
			defer first.close()
		} else {
			p.close()
		}
	}
	if d.Follow {
		if err := d.followTimeWait(first); err != nil {
			return fmt.Errorf("the end of TIME_WAIT: %w", err)
		}
	}
	return d.stage.write(d.writeFarewell)
}

// writeIntroduction says what the demo plays.
func writeIntroduction(n *narrator) {
	n.writeText(fmt.Sprintf("Two hosts in network namespaces of this machine, joined by veth: the server is %s, "+
		"the client %s. They close a connection in three ways, and each time the server starts again: "+
		"may it bind its port?", serverAddr, clientAddr))
}

// writeFarewell says what can be done next.
func (d *demo) writeFarewell(n *narrator) {
	n.writeLine("")
	if !d.Follow {
		n.writeText("To wait until a TIME_WAIT has run out: tcptrace demo --follow")
	}
	n.writeText("To trace a server of your own: tcptrace --port PORT")
}
