// Command concert runs many things at once and shows what that is worth.
//
//	concert get      download many files at once, whole and checked
//	concert tour     every idea of the guide, run and measured on this machine
//	concert help     this list
//	concert version  what was built
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

// Exit codes, the same for all subcommands.
const (
	exitOK     = 0
	exitFailed = 1   // the work failed; what and why is on stderr
	exitUsage  = 2   // the command line could not be understood
	exitSignal = 130 // interrupted by Ctrl-C
)

// command is one subcommand.
type command struct {
	name    string
	summary string
	run     func(ctx context.Context, args []string, out, errOut io.Writer) error
}

var commands = []command{
	{"get", "download many files at once, whole and checked", runGet},
	{"tour", "every idea of the guide, run and measured on this machine", runTour},
	{"version", "what was built", runVersion},
}

// usageError is an error of the command line.
type usageError struct{ text string }

// Error is the text alone; run adds the command's name.
func (e usageError) Error() string { return e.text }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second Ctrl-C stops at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run runs the command line and returns its exit code.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	if len(args) == 0 {
		printHelp(errOut)
		return exitUsage
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		printHelp(out)
		return exitOK
	}
	for _, c := range commands {
		if c.name != args[0] {
			continue
		}
		err := c.run(ctx, args[1:], out, errOut)
		var usage usageError
		switch {
		case err == nil:
			return exitOK
		case ctx.Err() != nil:
			fmt.Fprintln(errOut, "concert: interrupted")
			return exitSignal
		case errors.As(err, &usage):
			fmt.Fprintf(errOut, "concert %s: %v\nRun 'concert %s -h' for help.\n", c.name, err, c.name)
			return exitUsage
		}
		if !errors.Is(err, errNotAll) { // that has been said, and in detail
			fmt.Fprintf(errOut, "concert %s: %v\n", c.name, err)
		}
		return exitFailed
	}
	fmt.Fprintf(errOut, "concert: no command %q\nRun 'concert help' for a list.\n", args[0])
	return exitUsage
}

func printHelp(w io.Writer) {
	fmt.Fprint(w, "concert runs many things at once and shows what that is worth.\n\nUsage: concert COMMAND [flags]\n\n")
	for _, c := range commands {
		fmt.Fprintf(w, "  %-8s  %s\n", c.name, c.summary)
	}
	fmt.Fprint(w, "  help      this list\n\nRun 'concert COMMAND -h' for a command's flags and examples.\n")
}

func runVersion(_ context.Context, args []string, out, _ io.Writer) error {
	if len(args) > 0 {
		return usageError{"it takes no arguments"}
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return errors.New("the binary has no build information")
	}
	fmt.Fprintf(out, "concert %s, %s\n", info.Main.Version, info.GoVersion)
	return nil
}
