package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"concert/progress"
)

const tourHelp = `Usage: concert tour

Runs the ideas of docs/guide.md for real on this machine, offline (the only
connections are to itself), and says what was measured. It takes some seconds,
and leaves nothing behind.

Exit codes: 0 all of it ran and every result was right; 1 something was not;
130 interrupted.

Example:
  concert tour
  concert tour | less      plain text
`

// station is one stop of the tour: an idea, and a row for the closing table.
type station struct {
	title string
	intro string
	run   func(ctx context.Context, t *tour) ([]row, error)
}

// row is what the closing table says of a station.
type row struct {
	work, model string
	base, best  time.Duration // one after another, and with the model
}

var stations = []station{
	{"Threads, for work that waits", "Eight pages from a server that takes 60 ms over each, saved and checked.", tourDownloads},
	{"Data that threads share needs a lock", "Four goroutines count to 40,000 together.", tourLock},
	{"All processors, for work that computes", "Sums of squares, on one processor and on all.", tourCompute},
	{"Processes, for work that may crash", "The same program again, with memory of its own: what dies there, dies there.", tourProcesses},
	{"The global interpreter lock, in Python itself", "In one interpreter one thread computes at a time, and any number waits.", tourPython},
	{"The same lock in Go, for engines that need one", "An embedded interpreter, a C library: one goroutine at a time computes in it.", tourGIL},
	{"An event loop, for many connections", "Coroutines take turns, and switch only where they wait.", tourLoop},
}

// tour is the state that stations share.
type tour struct {
	out   io.Writer
	style style
	dir   string // a folder of the tour's own
}

func runTour(ctx context.Context, args []string, out, errOut io.Writer) error {
	args, err := noFlags(args)
	if err != nil {
		return err
	}
	if len(args) > 0 {
		return usageError{fmt.Sprintf("unexpected argument %q", args[0])}
	}
	dir, err := os.MkdirTemp("", "concert-tour-")
	if err != nil {
		return fmt.Errorf("no room for the downloads: %w", err)
	}
	defer os.RemoveAll(dir)

	t := &tour{out: out, style: styleFor(out), dir: dir}
	begin := time.Now()
	fmt.Fprintf(out, "%s %s\n", t.style.bold("A tour of concert"),
		t.style.dim(fmt.Sprintf("on %d processors, %s/%s, %s", runtime.GOMAXPROCS(0), runtime.GOOS, runtime.GOARCH, runtime.Version())))
	var rows []row
	for i, s := range stations {
		fmt.Fprintf(out, "\n%s\n%s\n\n", t.style.bold(fmt.Sprintf("%d. %s", i+1, s.title)), t.style.dim(s.intro))
		r, err := s.run(ctx, t)
		if err != nil {
			return fmt.Errorf("%s: %w", s.title, err)
		}
		rows = append(rows, r...)
	}
	t.table(rows)
	fmt.Fprintf(out, "\nAll of this ran just now, in %s. The code is in docs/guide.md.\n", progress.Duration(time.Since(begin)))
	return nil
}

// measured prints one line of a station.
func (t *tour) measured(what string, d time.Duration, note string) {
	fmt.Fprintln(t.out, strings.TrimRight(fmt.Sprintf("  %-32s %8s  %s", what, progress.Duration(d), t.style.dim(note)), " "))
}

// noted prints one line of a station about something that has no time.
func (t *tour) noted(what, note string) {
	fmt.Fprintf(t.out, "  %-32s %s\n", what, t.style.dim(note))
}

// table closes the tour with what to take when.
func (t *tour) table(rows []row) {
	fmt.Fprintf(t.out, "\n%s\n\n", t.style.bold("Choosing a concurrency model"))
	fmt.Fprintln(t.out, t.style.dim(fmt.Sprintf("  %-26s %-26s %8s %8s %6s", "work", "model", "alone", "with it", "gain")))
	for _, r := range rows {
		gain := "-"
		if r.best > 0 && r.base > 0 {
			gain = fmt.Sprintf("%.1fx", float64(r.base)/float64(r.best))
		}
		fmt.Fprintf(t.out, "  %-26s %-26s %8s %8s %s\n", r.work, r.model, known(r.base), known(r.best), t.style.good(fmt.Sprintf("%6s", gain)))
	}
}

// known is a time that was measured, or a dash.
func known(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return progress.Duration(d)
}
