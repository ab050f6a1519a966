//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tcptrace/tcptrace/internal/kerneltest"
)

// result is what tcptrace found in a round.
type result struct {
	*round
	atServer, atClient, atBoth view
}

// view is what the recording of some ends shows.
type view struct {
	least, most time.Duration // after which idle time the server closes; 0: no such finding
	races       int           // requests that met the server's close after its idle timeout
	other       int           // requests that met one for another reason
}

// read replays the recording of a round as each of its ends has it, and both.
func (l *lab) read(recording string, r *round) (result, error) {
	res := result{round: r}
	port := strconv.Itoa(int(r.at.Port()))
	own := filepath.Join(r.dir, "round.jsonl") // three views of this take less time than of the whole
	if out, err := exec.Command(l.tcptrace, "-r", recording, "-p", port, "-w", own, "--force").CombinedOutput(); err != nil {
		return res, fmt.Errorf("take %v out of the recording: %w: %s", r, err, out)
	}
	for _, v := range []struct {
		to *view
		ns *kerneltest.NetNS
	}{{&res.atServer, r.far}, {&res.atClient, r.near}, {&res.atBoth, nil}} {
		args := []string{"-r", own, "--problems", "--json"}
		if v.ns != nil {
			args = append(args, "--netns", strconv.Itoa(int(v.ns.Inode)))
		}
		out, err := exec.Command(l.tcptrace, args...).Output()
		if err != nil {
			return res, fmt.Errorf("read the recording of %v: %w", r, err)
		}
		if *v.to, err = viewOf(out, r.says()); err != nil {
			return res, fmt.Errorf("read the findings of %v: %w", r, err)
		}
	}
	return res, nil
}

var (
	idlePhrase = regexp.MustCompile(`after ([0-9.]+m?s)(?: to ([0-9.]+m?s))? idle|([0-9.]+m?s) after data last arrived`)
	// serverSays and clientSays are who closes.
	serverSays = `to port %d |:%[1]d closes `
	clientSays = ` closes connections to .*:%d after `
)

// viewOf takes the findings as they are in the end.
func viewOf(stream []byte, closer *regexp.Regexp) (v view, err error) {
	type finding struct {
		Type, ID, Code, Summary string
		Count                   int
		Resolved                bool
	}
	last := make(map[string]finding)
	for d := json.NewDecoder(bytes.NewReader(stream)); ; {
		var f finding
		if err := d.Decode(&f); err == io.EOF {
			break
		} else if err != nil {
			return v, err
		}
		if f.Type == "finding" {
			last[f.ID] = f
		}
	}
	for _, f := range last {
		switch {
		case f.Resolved:
		case f.Code == "keepalive_race":
			v.races += f.Count
		case f.Code == "request_lost":
			v.other += f.Count
		case f.Code == "idle_timeout" && closer.MatchString(f.Summary):
			if v.least, v.most, err = parseIdle(f.Summary); err != nil {
				return v, err
			}
		}
	}
	return v, nil
}

// says recognizes the findings on the side that closes.
func (r *round) says() *regexp.Regexp {
	form := serverSays
	if r.pool != nil {
		form = clientSays
	}
	return regexp.MustCompile(fmt.Sprintf(form, r.at.Port()))
}

func parseIdle(summary string) (least, most time.Duration, err error) {
	words := idlePhrase.FindStringSubmatch(summary)
	if words == nil {
		return 0, 0, fmt.Errorf("no time in %q", summary)
	}
	if least, err = time.ParseDuration(words[1] + words[3]); err != nil || words[2] == "" {
		return least, least, err
	}
	most, err = time.ParseDuration(words[2])
	return least, most, err
}

// isRight reports whether a view has the timeout that the program has, to 2% or 50ms; of a program that looks once a
// second, as an interval.
func (r *result) isRight(v *view) bool {
	if r.control != nil || r.ends {
		return v.least == 0 && v.races == 0
	}
	if r.unseen && v == &r.atClient && v.least == 0 || r.pool != nil && v == &r.atServer { // the server's end does not see why the client closes
		return v.least == 0
	}
	least, most := r.least(r.timeout), r.most(r.timeout)
	off := max(50*time.Millisecond, least/50)
	if r.looks > 0 {
		return v.least >= least-off && v.most <= most+off && v.most > v.least
	}
	return (v.least-least).Abs() <= off && v.most == v.least
}

func (r *result) lost() int { return int(r.sent.Load() - r.answered.Load()) }

// print writes the table, and reports whether each timeout is right.
func (l *lab) print(w io.Writer) bool {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PROGRAM\tSET\tTRIP\tAT SERVER\tAT CLIENT\tTIMEOUT\tSENT\tLOST\tAT SERVER\tAT CLIENT\tBOTH\tOTHER\t")
	right := true
	var sum struct{ sent, lost, server, client, both int }
	for i := range l.results {
		r := &l.results[i]
		verdict := "right"
		switch {
		case r.err != nil:
			verdict, _, _ = strings.Cut(r.err.Error(), "\n")
			right = false
			fmt.Fprintf(os.Stderr, "lab: %v: %v\n", r, r.err)
		case !r.isRight(&r.atServer) || !r.isRight(&r.atClient):
			verdict = "WRONG"
			right = false
		}
		fmt.Fprintf(t, "%s\t%v\t%v\t%v\t%v\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t\n", r.name, r.timeout, r.trip, &r.atServer, &r.atClient, verdict,
			r.sent.Load(), r.lost(), r.atServer.races, r.atClient.races, r.atBoth.races, r.atServer.other)
		sum.sent += int(r.sent.Load())
		sum.lost += r.lost()
		sum.server, sum.client, sum.both = sum.server+r.atServer.races, sum.client+r.atClient.races, sum.both+r.atBoth.races
	}
	fmt.Fprintf(t, "all\t\t\t\t\t\t%d\t%d\t%d\t%d\t%d\t\n", sum.sent, sum.lost, sum.server, sum.client, sum.both)
	t.Flush()
	return right
}

func (v *view) String() string {
	switch {
	case v.least == 0:
		return "-"
	case v.least == v.most:
		return v.least.String()
	}
	return fmt.Sprintf("%v-%v", v.least, v.most)
}
