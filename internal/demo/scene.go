//go:build linux

package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/tcptrace/tcptrace/internal/conn"
)

// scene is one way to close a connection and to start the server again.
type scene struct {
	title     string
	first     conn.Role // who closes first
	reuseaddr bool      // both servers, the old and the new, set SO_REUSEADDR
}

var scenes = []scene{
	{title: "The server closes first", first: conn.Server},
	{title: "The client closes first", first: conn.Client},
	{title: "The server closes first, with SO_REUSEADDR", first: conn.Server, reuseaddr: true},
}

// option says how the server sets up its sockets.
func (s scene) option() string {
	if s.reuseaddr {
		return ", with SO_REUSEADDR"
	}
	return ", without SO_REUSEADDR"
}

// scenePause is the time to read an explanation.
const scenePause = 700 * time.Millisecond

// perform plays a scene and explains it. Its lab is there until close.
func (d *demo) perform(ctx context.Context, number int, s scene) (*performance, error) {
	l, err := newLab(ctx)
	if err != nil {
		return nil, err
	}
	p := &performance{scene: s, ctx: ctx, stage: d.stage, lab: l, view: d.stage.show(l)}
	if err := d.present(p, number); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (d *demo) present(p *performance, number int) error {
	err := d.stage.say(func(n *narrator) {
		n.title(fmt.Sprintf("%d. %s", number+1, p.title))
		d.stage.head(n)
	})
	if err != nil {
		return err
	}
	o, err := p.play()
	if err != nil {
		return err
	}
	if err := d.stage.say(d.explanation(o).tell); err != nil {
		return err
	}
	return sleep(p.ctx, scenePause)
}

func (d *demo) explanation(o *outcome) explanation {
	return explanation{outcome: o, clock: d.Text.Clock, zone: d.Text.Zone}
}

func (p *performance) close() {
	p.view.hide()
	p.lab.close()
}
