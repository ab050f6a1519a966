package cli

import (
	"github.com/tcptrace/tcptrace/internal/directory"
	"github.com/tcptrace/tcptrace/internal/helper"
	"github.com/tcptrace/tcptrace/internal/privilege"
)

// serveAsHelper does not return if this process was started as the helper of another one.
func serveAsHelper() { helper.Main() }

// dropRights gives up all rights. What still takes one is done by a helper; nil: nothing does.
func (a *app) dropRights(n helper.Needs, keep privilege.Remaining) (*helper.Helper, error) {
	h, err := helper.Start(n, a.log)
	if err != nil {
		return nil, err
	}
	if err := privilege.Drop(keep, a.log); err != nil {
		h.Close()
		return nil, err
	}
	if h != nil {
		a.endHelper = h.Close
		if n.Directory != nil {
			n.Directory.UseHand(h)
		}
	}
	return h, nil
}

// dropRightsBut gives up all rights. Files can still be made in a directory.
func (a *app) dropRightsBut(d *directory.Directory) error {
	_, err := a.dropRights(helper.Needs{Directory: d}, privilege.Remaining{})
	return err
}
