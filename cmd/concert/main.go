// Command concert runs work concurrently and measures the gain.
//
//	concert choose      measure how to run your work concurrently
//	concert get         download many files at once, completely and verified
//	concert status      list the workers, waiting tasks and dead letters of a cluster
//	concert tour        run and measure the ideas of the guide on this machine
//	concert worker      run Python functions for a cluster
//	concert version     print the version
//	concert completion  print a script that completes command lines in your shell
//	concert help        list the commands
//
// Each subcommand is a file of its own; this one finds it and turns its error
// into an exit code.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"concert/internal/printable"
	"concert/processes"
)

// Exit codes, the same for all subcommands.
const (
	exitOK     = 0
	exitFailed = 1   // the work failed; what and why is on stderr
	exitUsage  = 2   // the command line could not be understood
	exitGuess  = 3   // of choose: the answer is no more than a guess
	exitSignal = 130 // interrupted by Ctrl-C
)

// command is one subcommand.
type command struct {
	name    string
	summary string
	help    string // what -h prints; its list of flags also serves completion
	run     func(ctx context.Context, args []string, out, errOut io.Writer) error
}

var commands = []command{
	{"choose", "measure how to run your work concurrently", chooseHelp, runChoose},
	{"get", "download many files at once, completely and verified", getHelp, runGet},
	{"status", "list the workers, waiting tasks and dead letters of a cluster", statusHelp, runStatus},
	{"tour", "run and measure the ideas of the guide on this machine", tourHelp, runTour},
	{"worker", "run Python functions for a cluster", workerHelp, runWorker},
	{"version", "print the version", versionHelp, runVersion},
}

func init() {
	// It reads the list of commands, so it cannot be in the list's initializer.
	commands = append(commands, command{"completion", "print a script that completes command lines in your shell", completionHelp, runCompletion})
}

// usageError is an error of the command line.
type usageError struct{ text string }

// Error is the text alone; run adds the command's name.
func (e usageError) Error() string { return e.text }

func main() {
	processes.Main() // a worker of the tour does not go past this
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, _ := signal.NotifyContext(context.Background(), signals...)
	context.AfterFunc(ctx, func() { // a second Ctrl-C stops at once
		second := make(chan os.Signal, 1)
		signal.Notify(second, signals...)
		<-second
		undoAll()
		os.Exit(exitSignal)
	})
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
		if len(args) == 1 {
			printHelp(out)
			return exitOK
		}
		args = []string{args[1], "-h"}
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
		case errors.Is(err, flag.ErrHelp):
			fmt.Fprint(out, c.help)
			return exitOK
		case ctx.Err() != nil:
			fmt.Fprintln(errOut, "concert: interrupted")
			return exitSignal
		case errors.As(err, &usage):
			fmt.Fprintf(errOut, "concert %s: %s\nRun 'concert %s -h' for help.\n", c.name, printable.Text(err.Error()), c.name)
			return exitUsage
		}
		if errors.Is(err, errGuess) { // it says so
			return exitGuess
		}
		if !errors.Is(err, errNotAll) { // that has been said, and in detail
			fmt.Fprintf(errOut, "concert %s: %s\n", c.name, printable.Text(strings.TrimPrefix(err.Error(), c.name+": ")))
		}
		return exitFailed
	}
	fmt.Fprintf(errOut, "concert: no command %q\nRun 'concert help' for a list.\n", args[0])
	return exitUsage
}

func printHelp(w io.Writer) {
	fmt.Fprint(w, "concert runs work concurrently and measures the gain.\n\nUsage: concert COMMAND [flags]\n\n")
	for _, c := range commands {
		fmt.Fprintf(w, "  %-10s  %s\n", c.name, c.summary)
	}
	fmt.Fprint(w, "  help        list the commands\n\nRun 'concert COMMAND -h' for a command's flags and examples.\n")
}

// noFlags returns the arguments of a command line that may have no flags but
// -h.
func noFlags(args []string) ([]string, error) {
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	if err := parseFlags(flags, args); err != nil {
		return nil, err
	}
	return flags.Args(), nil
}

const versionHelp = `Usage: concert version

Prints the version of this program, and of the Go release that built it.
`

func runVersion(_ context.Context, args []string, out, _ io.Writer) error {
	args, err := noFlags(args)
	if err != nil {
		return err
	}
	if len(args) > 0 {
		return usageError{fmt.Sprintf("unexpected argument %q", args[0])}
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return errors.New("the binary has no build information")
	}
	fmt.Fprintf(out, "concert %s, %s\n", info.Main.Version, info.GoVersion)
	return nil
}
