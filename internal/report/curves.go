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
	Name        string
	Most        string // the highest number, in words
	Line, Area  string // the d of an SVG path
	First, Last string // the times at its ends
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
		drawn.drawPath(stairPoints(numbers), float64(max(1, c.Peak)))
		drawn.First, drawn.Last = r.curveTimes()
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
				r.exactTime(least.at), words.Count(len(d.samples), "look")),
		}
		end := points[len(points)-1][1]
		drawn.drawPath(append(points, [2]float64{1, end}), float64(usable))
		drawn.First, drawn.Last = r.curveTimes()
		all = append(all, drawn)
	}
	return all
}

// curveTimes returns the times at which all curves begin and end.
func (r *Report) curveTimes() (first, last string) {
	f := &r.finalFigures().Recorded
	return words.Clock(f.First.In(r.zone), 0), words.Clock(f.Last.In(r.zone), 0)
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

// drawPath draws points: a part of the time from 0 to 1, and a number up to most.
func (c *curve) drawPath(points [][2]float64, most float64) {
	var line strings.Builder
	for i, p := range points {
		command := "L"
		if i == 0 {
			command = "M"
		}
		fmt.Fprintf(&line, "%s%.1f %.1f", command, p[0]*curveWidth, curveHeight-1-p[1]/most*(curveHeight-4))
	}
	c.Line = line.String()
	c.Area = fmt.Sprintf("%sL%.1f %d L%.1f %dZ", c.Line, points[len(points)-1][0]*curveWidth, curveHeight, points[0][0]*curveWidth, curveHeight)
}
