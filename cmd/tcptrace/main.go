// Command tcptrace shows how TCP connections close. See internal/cli.
package main

import (
	"context"
	"os"

	"github.com/tcptrace/tcptrace/internal/cli"
)

func main() {
	os.Exit(cli.Main(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}
