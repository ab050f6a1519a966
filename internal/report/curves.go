package report

import (
	"fmt"
	"strings"

	"github.com/tcptrace/tcptrace/internal/stat"
	"github.com/tcptrace/tcptrace/internal/words"
)

// The size of a curve's drawing.
const (
	curveWidth  = 600
	curveHeight = 80
)

// curve is a number over time, drawn.
type curve struct {
	Name       string
	Most       string // the highest number, in words
	Line, Area string // the d of an SVG path
	Levels     []level
	Ticks      []tick
}

// stateCurves draws how many sockets were in each state over time.
func (r *Report) stateCurves(f *stat.Report) []curve {
	var all []curve
	for _, c := range f.Curves {
		numbers := make([]float64, len(c.Slices))
		for i, s := range c.Slices {
			numbers[i] = float64(s.Sockets)
		}
		drawn := curve{
			Name: c.State,
			Most: "at most " + words.Number(c.Peak) + " at once, first at " + r.exactTime(c.PeakAt.UnixMicro()),
		}
		drawn.draw(stairPoints(numbers), c.Peak, "socket")
		drawn.Ticks = r.curveTicks()
		all = append(all, drawn)
	}
	return all
}

// portCurves draws how many local ports were left for each destination.
func (r *Report) portCurves() []curve {
	first, last := r.span()
	var all []curve
	for _, d := range r.ports.destinations {
		var points [][2]float64
		usable, least := 1, d.samples[0]
		for _, l := range d.samples {
			usable = max(usable, l.usable)
			if l.left < least.left {
				least = l
			}
			points = append(points, [2]float64{float64(l.at-first) / float64(max(1, last-first)), float64(l.left)})
		}
		drawn := curve{
			Name: "Ports left for " + d.name,
			Most: fmt.Sprintf("at least %s of %s, at %s; %s", words.Number(least.left), words.Number(usable),
				r.exactTime(least.at), words.Count(len(d.samples), "sample")),
		}
		end := points[len(points)-1][1]
		drawn.draw(append(points, [2]float64{1, end}), usable, "port")
		drawn.Ticks = r.curveTicks()
		all = append(all, drawn)
	}
	return all
}

// curveTicks returns the time axis of all curves.
func (r *Report) curveTicks() []tick {
	f := &r.finalFigures().Recorded
	return newTicks(f.First.In(r.zone), f.Last.In(r.zone))
}

// stairPoints returns the points of a curve of numbers, each for an equal part of the time.
func stairPoints(numbers []float64) [][2]float64 {
	var points [][2]float64
	n := float64(len(numbers))
	for i, number := range numbers {
		points = append(points, [2]float64{float64(i) / n, number}, [2]float64{float64(i+1) / n, number})
	}
	return points
}

// draw draws points: a part of the time from 0 to 1, and a number up to most.
func (c *curve) draw(points [][2]float64, most int, noun string) {
	top, step := topLevel(most)
	c.Levels = newLevels(top, step, noun)
	var line strings.Builder
	for i, p := range points {
		command := "L"
		if i == 0 {
			command = "M"
		}
		fmt.Fprintf(&line, "%s%.1f %.1f", command, p[0]*curveWidth, curveHeight-p[1]/float64(top)*curveHeight)
	}
	c.Line = line.String()
	c.Area = fmt.Sprintf("%sL%.1f %d L%.1f %dZ", c.Line, points[len(points)-1][0]*curveWidth, curveHeight, points[0][0]*curveWidth, curveHeight)
}
