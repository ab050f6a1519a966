// Package guest is what the runner and the init of its guest agree on.
package guest

// Order is what init is to run: the content of OrderFile, as JSON.
type Order struct {
	Args   []string
	Env    []string
	Dir    string
	Output string // the device that the output goes to
}

const (
	// OrderFile holds the Order.
	OrderFile = "/order.json"
	// Modules has the kernel modules to insert, in the order of their names.
	Modules = "/modules"
	// Mark is in front of the exit code in the kernel's log. A guest without it in its log
	// did not live to the end of its test.
	Mark = "testvm: exit code "
)
