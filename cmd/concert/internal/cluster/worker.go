// Package cluster has the commands for clusters. The command "concert worker"
// runs Python functions for a cluster, and "concert status" shows the workers
// and tasks of a cluster.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"concert"
	"concert/cluster"
	"concert/cmd/concert/internal/cli"
	"concert/internal/printable"
	"concert/internal/pyname"
	"concert/processes"
	"concert/python"
)

const workerHelp = `Usage: concert worker [flags] MODULE:FUNCTION...

Runs Python functions for the clients of a cluster, in interpreters on this
machine. A Go program declares such a function by
python.Func("MODULE:FUNCTION"), and calls it on the executor of cluster.Dial.
To offer Go functions, write a program that calls cluster.Serve.

The server of a cluster is concertd. Without --url and --key, the worker uses
the server that 'concertd dev' runs for this user. A server of 'concertd serve'
requires a key of each worker, which 'concertd key' makes.

Flags:

On Ctrl-C or SIGTERM, the worker accepts no more tasks, and ends when its
running tasks have finished. On a second signal it ends at once. Another worker
then runs the unfinished tasks half a minute later.

Exit codes:
  0    it was stopped, and no work was lost
  1    it could not start, or could not continue
  2    the command line is wrong
  130  it was stopped by a second signal

Examples:
  A server and a worker on this machine, each in a terminal of its own:

    concertd dev
    concert worker statistics:fmean

  A worker on another machine than the server, with the key file w.key:

    concert worker --url tls://one.example:4222 --key w.key \
        --path models -n 4 'classify:Model().predict'
`

// Worker is the command "concert worker".
var Worker = cli.Command{Name: "worker", Summary: "run Python functions for a cluster", Help: workerHelp, Flags: new(workerOptions).flags(), Run: runWorker}

type workerOptions struct {
	clusterFlags
	n, threads   int
	memory       cli.Memory
	python, path string
	grace        time.Duration
}

// flags sets o to the defaults, and returns the flags that change o.
func (o *workerOptions) flags() *cli.Flags {
	o.n, o.threads, o.grace = runtime.GOMAXPROCS(0), 1, 30*time.Second
	f := o.clusterFlags.flags("key file of a worker")
	f.Add(&o.n, "n", "N", "number of interpreters, 1 to 1000 (default the number of processors)")
	f.Add(&o.threads, "threads", "N", "tasks that each interpreter runs concurrently, 1 to 1000")
	f.Add(&o.memory, "memory", "SIZE", "memory limit of each interpreter, "+minMemory+" or more, as in 512M or 2G; 0 for no limit. "+
		"A task that needs more fails with MemoryError, or its interpreter is replaced. The default on Linux is three quarters of the memory "+
		"of the machine or the container, divided by the number of interpreters, but at least 1G. On other systems there is no limit by default")
	f.Add(&o.python, "python", "PROGRAM", "interpreter, or directory of a virtual environment (default $VIRTUAL_ENV, or python3)")
	f.Add(&o.path, "path", "DIR", "directory, or zip archive, that is searched first for modules")
	f.Add(&o.grace, "grace", "D", "time that running tasks have to finish when the worker stops; then another worker runs them "+
		"(default 30s, and some seconds more if the servers cannot be reached)")
	return f
}

// minMemory is the smallest value of --memory, other than 0, as users write it.
var minMemory = fmt.Sprintf("%dM", processes.MinMemory>>20)

func parseWorker(args []string) (o workerOptions, functions []string, err error) {
	flags := o.flags()
	if err := flags.ParseAnywhere(args); err != nil {
		return o, nil, err
	}
	var noPath error
	if o.path != "" {
		_, noPath = os.Stat(o.path)
	}
	switch {
	case o.checkURL() != nil:
		err = o.checkURL()
	case o.memory.Bytes != 0 && o.memory.Bytes < processes.MinMemory:
		err = cli.UsageError{Text: "--memory takes " + minMemory + " or more, or 0 for no limit"}
	case noPath != nil:
		err = cli.UsageError{Text: fmt.Sprintf("--path %s: %v", o.path, errors.Unwrap(noPath))}
	case o.n < 1 || o.n > 1000:
		err = cli.UsageError{Text: "-n takes 1 to 1000"}
	case o.threads < 1 || o.threads > 1000:
		err = cli.UsageError{Text: "--threads takes 1 to 1000"}
	case o.grace <= 0:
		err = cli.UsageError{Text: "--grace takes a time above zero, as in 30s or 2m"}
	case flags.NArg() == 0:
		err = cli.UsageError{Text: "no function: name at least one, as in statistics:fmean"}
	}
	for _, f := range flags.Args() {
		if why := pyname.Check(f); err == nil && why != nil {
			err = cli.UsageError{Text: fmt.Sprintf("%q: want MODULE:FUNCTION, as in statistics:fmean: %v", f, why)}
		}
	}
	return o, flags.Args(), err
}

// LookUp returns an error if an interpreter of a pool does not find a function.
// It does not call the function. The name may contain a call, as in
// Model().predict. LookUp does not make this call either: the worker makes it
// when the first task runs.
func LookUp(ctx context.Context, pool concert.Executor, where string) error {
	_, err := concert.Submit(ctx, pool, lookUp, where).Result(ctx)
	return err
}

var lookUp = python.Source[string, python.None]("look_up", `
def look_up(where):
    import importlib
    from concert.functions import split
    module, target = where.split(":", 1)
    found = importlib.import_module(module)
    for part in split(target):
        if part.endswith(")"):
            getattr(found, part.partition("(")[0])
            return
        found = getattr(found, part)
    if not callable(found):
        raise TypeError("%s is no function" % where)
`)

func runWorker(ctx context.Context, args []string, _, errOut io.Writer) error {
	o, functions, err := parseWorker(args)
	if err != nil {
		return err
	}
	if !o.memory.IsSet {
		o.memory.Bytes = defaultMemory(machineMemory(), o.n, o.threads)
	}
	opts := &python.Options{Interpreter: o.python, Threads: o.threads, Memory: o.memory.Bytes}
	if o.path != "" {
		opts.Path = []string{o.path}
	}
	pool, err := python.New(o.n, opts)
	if err != nil {
		return err
	}
	defer pool.Close()
	var names []string
	for _, f := range functions {
		if err := LookUp(ctx, pool, f); err != nil {
			return fmt.Errorf("%s: %w", f, err)
		}
		names = append(names, python.Names(f)...)
	}
	say := func(format string, args ...any) { fmt.Fprintf(errOut, "concert worker: "+format+"\n", args...) }
	stopping := context.AfterFunc(ctx, func() {
		say("stopping: accepts no more tasks; running tasks have %v to finish", o.grace)
	})
	defer stopping()
	return cluster.Serve(ctx, o.url, pool, &cluster.ServeOptions{
		Access: o.access(), Functions: names, Slots: o.n * o.threads, Grace: o.grace,
		Ready: func() {
			say("ready at %s: runs %s concurrently, offers %s", o.shown(), count(o.n*o.threads, "task"), strings.Join(functions, ", "))
		},
		Notice: func(text string) { say("%s", printable.Text(text)) },
	})
}
