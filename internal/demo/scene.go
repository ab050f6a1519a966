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
	title        string
	firstToClose conn.Role // who closes first
	reuseaddr    bool      // both servers, the old and the new, set SO_REUSEADDR
}

var scenes = []scene{
	{title: "The server closes first", firstToClose: conn.Server},
	{title: "The client closes first", firstToClose: conn.Client},
	{title: "The server closes first, with SO_REUSEADDR", firstToClose: conn.Server, reuseaddr: true},
}

// optionWords returns the words for how the server sets up its sockets.
func (s scene) optionWords() string {
	if s.reuseaddr {
		return ", with SO_REUSEADDR"
	}
	return ", without SO_REUSEADDR"
}

// scenePause is the time to read an explanation.
const scenePause = 700 * time.Millisecond

// performScene plays a scene and explains it. Its lab is there until close.
func (d *demo) performScene(ctx context.Context, number int, s scene) (*performance, error) {
	l, err := newLab(ctx)
	if err != nil {
		return nil, err
	}
	p := &performance{scene: s, ctx: ctx, stage: d.stage, lab: l, labView: d.stage.showLab(l)}
	if err := d.playAndExplain(p, number); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// playAndExplain plays a scene and, once it is over, explains it.
func (d *demo) playAndExplain(p *performance, number int) error {
	err := d.stage.write(func(n *narrator) {
		n.writeTitle(fmt.Sprintf("%d. %s", number+1, p.title))
		d.stage.writeHead(n)
	})
	if err != nil {
		return err
	}
	o, err := p.playSteps()
	if err != nil {
		return err
	}
	if err := d.stage.write(d.explanation(o).write); err != nil {
		return err
	}
	return sleep(p.ctx, scenePause)
}

func (d *demo) explanation(o *outcome) explanation {
	return explanation{outcome: o, clock: d.Text.Clock, zone: d.Text.Zone}
}

func (p *performance) close() {
	p.labView.hide()
	p.lab.close()
}
