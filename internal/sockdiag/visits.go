//go:build linux

package sockdiag

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/helper"
)

// search finds the network namespaces to scan: those that the query names, or else all with TCP sockets
// that processes or sockets are in, and that of Query.ListBound, which may have only bound sockets, or none.
func (s *Scanner) search(ctx context.Context, c *collector) ([]helper.Namespace, error) {
	found, err := s.opener.Search(ctx, helper.Search{
		NetNS: slices.Collect(maps.Keys(c.query.NetNS)), PIDs: c.pids, EveryThread: c.holdersUnknown,
	})
	listed := c.query.ListBound
	if listed != 0 && !slices.ContainsFunc(found, func(ns helper.Namespace) bool { return ns.NetNS == listed }) {
		found = append(found, helper.Namespace{NetNS: listed})
	}
	return found, err
}

// visitEach opens what is wanted in each network namespace, hands it over, and returns in how many that
// failed. A namespace that no longer exists does not count. The error is the last one, if it failed
// everywhere, or that of the context.
func (s *Scanner) visitEach(ctx context.Context, found []helper.Namespace, want func(netns event.NetNS) helper.Contents, visit func(netns event.NetNS, in *helper.Inside) error) (unseen int, err error) {
	done := 0
	for _, ns := range found {
		failed := error(helper.ErrClosed)
		if !ns.Hidden {
			failed = s.visit(ctx, ns.NetNS, want(ns.NetNS), visit)
		}
		switch {
		case ctx.Err() != nil:
			return 0, ctx.Err()
		case failed == nil:
			done++
		case errors.Is(failed, helper.ErrGone):
		case errors.Is(failed, helper.ErrClosed):
			unseen++
		default:
			unseen++
			err = failed
		}
	}
	if done > 0 {
		err = nil
	}
	return unseen, err
}

func (s *Scanner) visit(ctx context.Context, netns event.NetNS, want helper.Contents, visit func(netns event.NetNS, in *helper.Inside) error) error {
	in, err := s.opener.Open(ctx, netns, want, s.link())
	if err != nil {
		return err
	}
	defer in.Close()
	return visit(netns, in)
}

// link returns the descriptor of the iterator's link, or -1 without an iterator.
func (s *Scanner) link() int {
	if s.finder == nil {
		return -1
	}
	return s.finder.SocketsLink()
}

// wanted says what a scan opens in a network namespace.
func (s *Scanner) wanted(q Query) func(netns event.NetNS) helper.Contents {
	return func(netns event.NetNS) helper.Contents {
		want := helper.Socket
		if s.finder != nil {
			want |= helper.Counters | helper.Iterator
		}
		if q.Settings {
			want |= helper.Settings
		}
		if s.finder == nil || q.ListBound == netns {
			want |= helper.Diag
		}
		return want
	}
}
