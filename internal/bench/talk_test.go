//go:build linux

package main

import (
	"strings"
	"testing"
)

// The interval is that of the sign test, as tables of it have it.
func TestConfidence(t *testing.T) {
	for _, test := range []struct {
		n, lowest, highest int // which of so many samples, from 1 on
	}{
		{5, 0, 0}, {6, 1, 6}, {8, 1, 8}, {9, 2, 8}, {12, 3, 10}, {16, 4, 13}, {20, 6, 15}, {25, 8, 18}, {100, 40, 61},
	} {
		var s samples
		for i := range test.n {
			s = append(s, float64((i*7)%test.n+1))
		}
		if test.n%7 == 0 {
			t.Fatal("not all of them are there")
		}
		got, ok := confidence(s)
		if want := (interval{float64(test.lowest), float64(test.highest)}); got != want || ok != (test.lowest > 0) {
			t.Errorf("%d samples: got %v, %v; want %v", test.n, got, ok, want)
		}
	}
}

func TestPrintTalks(t *testing.T) {
	for _, test := range []struct {
		talks talks
		want  string
	}{
		{talks{}, ""},
		{talks{samples{1000}, samples{990}}, "(too few rounds to say how sure that is)\n"},
		{
			talks{samples{100, 100, 100, 100, 100, 100}, samples{97, 98, 99, 99, 100, 100}},
			"  its median, 95 % confidence 0.9700 to 1.0000\n(a difference of 2 % would have been seen)\n",
		},
		{
			talks{samples{100, 100, 100, 100, 100, 100}, samples{95, 98, 99, 99, 100, 100}},
			"  its median, 95 % confidence 0.9500 to 1.0000\n(a difference of 2 % would NOT have been seen)\n",
		},
	} {
		var out strings.Builder
		test.talks.print(&out)
		got := strings.ReplaceAll(out.String(), "\t", " ")
		if !strings.HasSuffix(got, test.want) || (test.want == "") != (got == "") {
			t.Errorf("got\n%s\nwant at its end\n%s", got, test.want)
		}
	}
}
