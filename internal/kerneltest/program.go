//go:build linux

package kerneltest

import (
	"errors"
	"fmt"
	"runtime"
)

// TB is what of a test is needed here, so that a program can have the same.
type TB interface {
	Helper()
	Skip(args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Cleanup(f func())
}

// RunOutside runs a function with a TB in a program that is not a test, and returns what the
// function failed with once all is cleaned up.
func RunOutside(f func(TB)) error {
	p, done := new(program), make(chan struct{})
	go func() { // Fatal ends it
		defer close(done)
		defer p.cleanUp()
		f(p)
	}()
	<-done
	return p.err
}

type program struct {
	err      error
	cleanups []func()
}

func (*program) Helper() {}

func (p *program) Skip(args ...any) { p.Fatal(args...) }

func (p *program) Fatal(args ...any) {
	p.err = errors.New(fmt.Sprint(args...))
	runtime.Goexit()
}

func (p *program) Fatalf(format string, args ...any) { p.Fatal(fmt.Sprintf(format, args...)) }

func (p *program) Cleanup(f func()) { p.cleanups = append(p.cleanups, f) }

func (p *program) cleanUp() {
	for n := range p.cleanups {
		p.cleanups[len(p.cleanups)-1-n]()
	}
}
