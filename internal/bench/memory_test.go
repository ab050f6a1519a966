//go:build linux

package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
)

func TestInMemory(t *testing.T) {
	const status = "Name:\ttcptrace\nVmPeak:\t 1300000 kB\nVmHWM:\t   95000 kB\nVmRSS:\t   90000 kB\n" +
		"RssAnon:\t   70000 kB\nRssFile:\t   15000 kB\nRssShmem:\t    5000 kB\n"
	got := inMemory(status)
	if got.PeakKiB != 95_000 || got.RSSKiB != 90_000 || got.AnonKiB != 70_000 || got.FileKiB != 15_000 || got.ShmemKiB != 5000 {
		t.Errorf("got %+v", got)
	}
}

// What a trace says of sockets that it let go is heard, in text and in records; what is
// in a transition is none of it.
func TestRemarks(t *testing.T) {
	var said remarks
	var o output
	count := said.heard(func([]byte, *output) { o.lines++ })
	for line := range strings.Lines(`16:28:05.217140 127.0.0.1:56010 127.1.0.24:20100 CLOSE > SYN_SENT evict/29016 connect
{"type":"transition","comm":"evict"}
{"type":"stop","lost":0,"evicted":7}
still open:        3 (20 evicted)
events lost:       0
`) {
		count([]byte(line), &o)
	}
	want := remarks{`{"type":"stop","lost":0,"evicted":7}`, "still open:        3 (20 evicted)"}
	if !slices.Equal(said, want) || o.lines != 5 {
		t.Errorf("got %q, %d lines", said, o.lines)
	}
}

func TestPrintFollowed(t *testing.T) {
	text := followed{
		Name: "text", OpenEnds: 10, TimeWait: 20, PeakKiB: 4096, RSSKiB: 3072, AnonKiB: 2048, FileKiB: 1024,
		Missing: 4, Lost: 3, Remarks: remarks{"evicted 7"},
	}
	more := text
	more.OpenEnds = 11
	e := &extras{followed: []followed{text, more, {Name: "write"}}}
	var out strings.Builder
	tab := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	e.printFollowed(tab)
	tab.Flush()
	const want = `
Memory of a trace that has followed so many sockets from their beginning, MiB:
  open ends TIME_WAIT most now of it anonymous files shared lost
  text 10 20 4 3 2 1 0 3
  text 11 20 4 3 2 1 0 3
  write 0 0 0 0 0 0 0 0
(text has NOT told of 4 transitions, and reports 3 lost)
(text says of sockets that it let go: evicted 7)
(write says of sockets that it let go: nothing)
`
	got, _, _ := strings.Cut(blanks.ReplaceAllString(out.String(), "$1 "), "(no larger")
	if strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(want), " ") {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	shown, err := json.Marshal(newObject(nil, &extras{followed: e.followed[:1]}).Memory)
	const object = `[{"name":"text","open_ends":10,"time_wait":20,"peak_rss_kib":4096,"rss_kib":3072,"rss_anon_kib":2048,` +
		`"rss_file_kib":1024,"rss_shmem_kib":0,"missing_transitions":4,"lost":3,"remarks":["evicted 7"]}]`
	if err != nil || string(shown) != object {
		t.Errorf("got\n%s\nwant\n%s", shown, object)
	}
}

func TestParseSockstat(t *testing.T) {
	for _, test := range []struct {
		content string
		want    socketCount
		ok      bool
	}{
		{"sockets: used 12\nTCP: inuse 3 orphan 0 tw 99998 alloc 4 mem 1\nUDP: inuse 0 mem 0\n", socketCount{3, 99_998}, true},
		{"sockets: used 12\nUDP: inuse 0 tw 5\n", socketCount{}, false},
		{"TCP: inuse 3 orphan\n", socketCount{}, false},
	} {
		if got, ok := parseSockstat(test.content); ok != test.ok || ok && got != test.want {
			t.Errorf("%q: got %v, %v", test.content, got, ok)
		}
	}
}
