//go:build linux

package sockdiag_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/host"
	"github.com/tcptrace/tcptrace/internal/sockdiag"
)

func TestQuick(t *testing.T) {
	jiffy, _ := host.Jiffy()
	start := time.Now()
	d, err := sockdiag.Open(jiffy, host.OpenCgroups().Path)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("open", time.Since(start))
	start = time.Now()
	s, err := d.Look(sockdiag.Query{})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("look", time.Since(start), s.Unseen)
	for _, x := range s.Sockets {
		fmt.Printf("%v %v %v until %v %+v %+v %v %+v\n", x.Local, x.Remote, x.State, x.Until.Sub(x.Time), x.Options, x.Holders, x.Cgroup, x.Counters)
	}
}
