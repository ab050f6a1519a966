//go:build linux

package main

import (
	"fmt"
	"slices"
)

// samples are the values of one figure, one a round.
type samples []float64

// median returns the middle value; the mean of both where there are two.
func (s samples) median() float64 {
	sorted := slices.Sorted(slices.Values(s))
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// mebibytes is the same of what is in KiB.
func (s samples) mebibytes() samples {
	scaled := make(samples, len(s))
	for i := range s {
		scaled[i] = s[i] / 1024
	}
	return scaled
}

func (s samples) last() float64 { return s[len(s)-1] }

// row has what was measured of one tracer.
type row struct {
	tracer
	rate, kept   samples // connections a second; of the same repetition's without a tracer
	inKernel     samples // ns a transition
	callEnds     samples // of it, ns a transition, what runs at the ends of system calls
	lost, ring   samples // events; of them to a full ring buffer
	user, system samples // us a transition, from the tracer's start to its end
	startup      samples // ms of processor time until it was attached
	rss          samples // KiB
	disk         samples // bytes on disk a transition, of what records
	firstEvent   samples // ms
	programs     []program
	notes        []string
}

func newRows(chosen []tracer) []*row {
	var rows []*row
	for _, t := range chosen {
		rows = append(rows, &row{tracer: t})
	}
	return rows
}

// count takes what a round's output says. A tool that does not say itself what it
// lost has lost the lines that are missing; of tcptrace, both must agree.
func (r *row) count(o output, expected int) {
	missing := expected - o.lines
	lost := missing
	if o.reported {
		lost = o.lost
		if missing != 0 && lost == 0 {
			r.notes = append(r.notes, fmt.Sprintf("%s: %d of %d lines, although it reports no loss", r.name, o.lines, expected))
		}
	}
	r.lost = append(r.lost, float64(lost))
	r.ring = append(r.ring, float64(o.ring))
}

// times is a figure of the row by the median of another's.
func (s samples) times(of samples) samples {
	if len(of) == 0 || of.median() == 0 {
		return nil
	}
	scaled := make(samples, len(s))
	for i := range s {
		scaled[i] = s[i] / of.median()
	}
	return scaled
}

// cpu is user and system time together, us a transition.
func (r *row) cpu() samples {
	sum := make(samples, len(r.user))
	for i := range sum {
		sum[i] = r.user[i] + r.system[i]
	}
	return sum
}

func find(rows []*row, name string) *row {
	for _, r := range rows {
		if r.name == name {
			return r
		}
	}
	return nil
}
