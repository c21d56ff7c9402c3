// Package get is the command "concert get". It downloads lists of files: many
// files at once, each completely and verified.
package get

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"time"

	"concert"
	"concert/cmd/concert/internal/cli"
	"concert/download"
	"concert/goroutines"
	"concert/trace"
)

const help = `Usage: concert get [flags] URL...
       concert get [flags] -i LIST

Downloads many files concurrently. Each file is downloaded completely and
verified, or not at all. An interrupted download continues if the server proves
that it still has the same file.

A file that already exists is not replaced, unless --overwrite is given. Such a
file is a success if its checksum is given and matches, and otherwise a failure.

A list has one line for each file: its URL, and optionally a name and a
checksum. LIST is a file, or - for the standard input.

  https://example.com/a.iso name=a.iso sha256=e3b0c442...

Flags:

The paths of finished files go to the standard output, everything else to the
standard error. Ctrl-C stops; the next run continues the unfinished files.

Exit codes:
  0    all files are there
  1    some files failed; they are listed at the end
  2    the command line or the list is wrong; nothing was started
  130  interrupted

Examples:
  concert get https://example.com/a.iso
  concert get -d isos -i urls.txt --jobs 32
  generate-urls | concert get -i - --json > log.jsonl
`

// Command is the command "concert get".
var Command = cli.Command{Name: "get", Summary: "download many files at once, completely and verified", Help: help, Flags: new(options).flags(), Run: run}

// options has the values of the flags.
type options struct {
	dir, list, trace       string
	jobs, perHost, retries int
	connect, header, stall time.Duration
	retryDelay             time.Duration
	overwrite, json, quiet bool
}

// flags sets o to the defaults, and returns the flags that change it.
func (o *options) flags() *cli.Flags {
	*o = options{
		dir: ".", jobs: 16, perHost: 6, retries: 4, retryDelay: time.Second,
		connect: 30 * time.Second, header: 30 * time.Second, stall: 30 * time.Second,
	}
	f := cli.NewFlags()
	f.Add(&o.dir, "d", "DIR", "directory for the files, created if missing")
	f.Add(&o.list, "i", "LIST", "read URLs from a list, in addition to the arguments")
	f.Add(&o.jobs, "jobs", "N", "concurrent downloads, 1 to 1000")
	f.Add(&o.perHost, "per-host", "N", "concurrent downloads from one host")
	f.Add(&o.retries, "retries", "N", "further attempts after a transient error; after a wrong checksum only one")
	f.Add(&o.retryDelay, "retry-delay", "D", "pause before the second attempt; it doubles, up to a minute, unless the server sets it")
	f.Add(&o.connect, "connect-timeout", "D", "time limit for a connection")
	f.Add(&o.header, "header-timeout", "D", "time limit from a request to its reply")
	f.Add(&o.stall, "stall-timeout", "D", "time limit for the next byte")
	f.Add(&o.overwrite, "overwrite", "", "replace files that exist")
	f.Add(&o.json, "json", "", "print events to the standard output, one per line")
	f.Add(&o.trace, "trace", "FILE", "write a trace of the downloads, for a trace viewer such as ui.perfetto.dev")
	f.Add(&o.quiet, "quiet", "", "print failures only")
	return f
}

func parse(args []string) (o options, urls []string, err error) {
	flags := o.flags()
	if err := flags.Parse(args); err != nil {
		return o, nil, err
	}
	switch {
	case o.jobs < 1 || o.jobs > 1000:
		err = cli.UsageError{Text: "--jobs takes 1 to 1000"}
	case o.perHost < 1:
		err = cli.UsageError{Text: "--per-host takes 1 or more"}
	case o.retries < 0:
		err = cli.UsageError{Text: "--retries takes 0 or more"}
	case o.connect <= 0 || o.header <= 0 || o.stall <= 0 || o.retryDelay <= 0:
		err = cli.UsageError{Text: "timeouts and --retry-delay take a time above zero, as in 30s or 2m"}
	case flags.NArg() == 0 && o.list == "":
		err = cli.UsageError{Text: "no URL, and no list with -i"}
	default:
		err = flags.CheckOrder("URLs")
	}
	return o, flags.Args(), err
}

func run(ctx context.Context, args []string, out, errOut io.Writer) (err error) {
	o, urls, err := parse(args)
	if err != nil {
		return err
	}
	list, err := gather(o.list, urls)
	if err != nil {
		return cli.UsageError{Text: err.Error()}
	}
	if err := os.MkdirAll(o.dir, 0o777); err != nil {
		return err
	}
	g := &getter{
		options: o,
		client:  download.NewClient(&download.ClientOptions{Connect: o.connect, Header: o.header}),
		hosts:   make(map[string]chan struct{}),
		ctx:     ctx,
	}
	for _, w := range list {
		if g.hosts[w.host] == nil {
			g.hosts[w.host] = make(chan struct{}, o.perHost)
		}
	}
	events, err := cli.NewOutput(o.trace)
	if err != nil {
		return err
	}
	defer events.Discard()
	r := newReport(o, len(list), out, errOut)
	if events != nil {
		tracer := trace.New(events)
		r.trace = tracer.Observer("concert get")
		defer func() {
			if e := events.Commit(tracer.Close()); e != nil && (err == nil || errors.Is(err, cli.ErrReported)) {
				err = e // the list of failed files has been printed
			}
		}()
	}
	return g.getAll(list, r)
}

// gather returns the files of the command line and of the list. If the
// description of a file is wrong, gather returns an error, before any download
// starts.
func gather(name string, urls []string) ([]wanted, error) {
	var list []wanted
	for i, u := range urls {
		w := wanted{url: u, where: fmt.Sprintf("argument %d", i+1)}
		if err := w.check(); err != nil {
			return nil, err
		}
		list = append(list, w)
	}
	if name != "" {
		in, source := io.Reader(os.Stdin), "standard input"
		if name != "-" {
			f, err := os.Open(name)
			if err != nil {
				return nil, err
			}
			defer f.Close()
			in, source = f, name
		}
		more, err := parseList(in, source)
		if err != nil {
			return nil, err
		}
		list = append(list, more...)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s has no URL", name)
	}
	return spread(list), checkNames(list)
}

// getter downloads a list.
type getter struct {
	options
	client *http.Client
	hosts  map[string]chan struct{} // a semaphore for each host, which limits its concurrent downloads
	ctx    context.Context          // canceled by Ctrl-C
}

// outcome is the result of a file.
type outcome struct {
	wanted
	download.Result
	err      error
	attempts int
}

func (g *getter) getAll(list []wanted, r *report) error {
	ex := goroutines.New(g.jobs, &goroutines.Options{Name: "concert get", Observer: r.observer()})
	defer ex.Close()
	// Ctrl-C cancels each download, but not the Map, so that r also reports the
	// canceled downloads.
	for done := range concert.MapUnordered(context.WithoutCancel(g.ctx), ex, g.get, slices.Values(list)) {
		r.finished(done)
	}
	failed := r.close(g.ctx.Err() != nil)
	if g.ctx.Err() != nil {
		return context.Cause(g.ctx)
	}
	if failed > 0 {
		return cli.ErrReported
	}
	return nil
}

// get downloads one file, and tries again after transient errors. The outcome
// that get returns has the error too. The second result is only for observers
// of the executor, which show the progress.
func (g *getter) get(task context.Context, w wanted) (outcome, error) {
	done := outcome{wanted: w}
	wrong := 0 // the number of downloads with a wrong checksum
	mayRetry := func(err error) bool {
		if errors.Is(err, download.ErrChecksum) {
			wrong++
		}
		return isTransient(err) && wrong < 2
	}
	fetch := concert.Retry(func(ctx context.Context, w wanted) (download.Result, error) {
		slots := g.hosts[w.host]
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		case <-ctx.Done():
			return download.Result{}, context.Cause(ctx)
		}
		if ctx.Err() != nil {
			return download.Result{}, context.Cause(ctx)
		}
		done.attempts++
		return download.Get(ctx, g.client, download.Request{
			URL: w.url, Dir: g.dir, Name: w.name, SHA256: w.sha256, Overwrite: g.overwrite, Stall: g.stall,
			Progress: func(n, total int64) { concert.Progress(task, n, max(0, total)) },
		})
	}, &concert.RetryOptions{Attempts: g.retries + 1, Delay: g.retryDelay, MaxDelay: time.Minute, If: mayRetry})
	done.Result, done.err = fetch(g.ctx, w)
	return done, done.err
}

// isTransient reports whether another attempt may succeed.
func isTransient(err error) bool {
	e, ok := errors.AsType[*download.Error](err)
	return ok && e.Temporary()
}

// why returns the text of an error for the list of failed files.
func (o outcome) why() string {
	switch {
	case errors.Is(o.err, context.Canceled):
		return "interrupted"
	case errors.Is(o.err, fs.ErrExist):
		return fmt.Sprintf("%s already exists (--overwrite replaces it)", o.name)
	}
	text := o.err.Error()
	if e, ok := errors.AsType[*download.Error](o.err); ok {
		text = fmt.Sprintf("cannot %s: %v", e.Op, e.Err)
	}
	if o.attempts > 1 {
		text += fmt.Sprintf(" (%d attempts)", o.attempts)
	}
	return text
}
