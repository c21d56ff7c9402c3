package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"concert/internal/units"
	"concert/progress"
)

const tourHelp = `Usage: concert tour [flags]

Runs the ideas of docs/guide.md on this machine and prints the measurements. Then
it uses 'concert choose' to find the right model for five kinds of work. It works
offline (the only connections are to itself), takes half a minute, and removes its
files.

Flags:
  --html FILE  write the results as an HTML page as well

Exit codes: 0 everything ran and every result was right; 1 a part failed or had a
wrong result; 2 the command line is wrong; 130 interrupted.

Examples:
  concert tour
  concert tour | less      plain text
  concert tour --html tour.html
`

// station is one stop of the tour: an idea.
type station struct {
	title string
	intro string
	run   func(ctx context.Context, t *tour) error
}

var stations = []station{
	{"Threads, for work that waits", "Eight pages from a server that takes 60 ms over each, saved and checked.", tourDownloads},
	{"Data that threads share needs a lock", "Four goroutines count to 40,000 together.", tourLock},
	{"All processors, for work that computes", "Sums of squares, on one processor and on all.", tourCompute},
	{"Processes, for work that may crash", "The same program again, with memory of its own: what dies there, dies there.", tourProcesses},
	{"One interface for all of them", "Submit, map, as completed, timeouts: what changes is the line with the executor.", tourInterface},
	{"The global interpreter lock, in Python itself", "In one interpreter one thread computes at a time, and any number waits.", tourPython},
	{"The same lock in Go, for engines that need one", "An embedded interpreter, a C library: one goroutine at a time computes in it.", tourGIL},
	{"An event loop, for many connections", "Coroutines take turns, and switch only where they wait.", tourLoop},
	{"Choosing, by measuring", "What 'concert choose' says of five kinds of work, each tried under every model.", tourChoose},
}

// tour is the state that stations share, and what they have said.
type tour struct {
	out      io.Writer
	style    style
	dir      string // a directory of the tour's own
	sections []*tourSection
	models   []modelRow // of the closing table
}

// tourSection is what a station has said.
type tourSection struct {
	Title, Intro string
	Lines        []tourLine
}

// tourLine is a line of a station: about something that has a time, or not.
type tourLine struct{ What, Time, Note string }

func runTour(ctx context.Context, args []string, out, errOut io.Writer) (err error) {
	flags := flag.NewFlagSet("tour", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	html := flags.String("html", "", "")
	if err := parseFlags(flags, args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return usageError{fmt.Sprintf("unexpected argument %q", flags.Arg(0))}
	}
	file, err := newOutput(*html)
	if err != nil {
		return err
	}
	defer file.abandon()
	dir, err := os.MkdirTemp("", "concert-tour-")
	if err != nil {
		return fmt.Errorf("making a temporary directory for the downloads: %w", err)
	}
	defer os.RemoveAll(dir)

	t := &tour{out: out, style: styleFor(out), dir: dir}
	begin := time.Now()
	where := fmt.Sprintf("on %d processors, %s/%s, %s", runtime.GOMAXPROCS(0), runtime.GOOS, runtime.GOARCH, runtime.Version())
	fmt.Fprintf(out, "%s %s\n", t.style.bold("A tour of concert"), t.style.dim(where))
	for i, s := range stations {
		fmt.Fprintf(out, "\n%s\n%s\n\n", t.style.bold(fmt.Sprintf("%d. %s", i+1, s.title)), t.style.dim(s.intro))
		t.sections = append(t.sections, &tourSection{Title: s.title, Intro: s.intro})
		if err := s.run(ctx, t); err != nil {
			return fmt.Errorf("%s: %w", s.title, err)
		}
	}
	t.table()
	end := fmt.Sprintf("All of this ran just now, in %s. The code is in docs/guide.md.", progress.Duration(time.Since(begin)))
	fmt.Fprintf(out, "\n%s\n", end)
	if file == nil {
		return nil
	}
	return file.keep(t.page(file, where, end))
}

// say adds a line to what the station has said.
func (t *tour) say(l tourLine) {
	s := t.sections[len(t.sections)-1]
	s.Lines = append(s.Lines, l)
}

// measured prints one line of a station.
func (t *tour) measured(what string, d time.Duration, note string) {
	t.say(tourLine{what, progress.Duration(d), note})
	fmt.Fprintln(t.out, strings.TrimRight(fmt.Sprintf("  %-32s %8s  %s", what, progress.Duration(d), t.style.dim(note)), " "))
}

// noted prints one line of a station about something that has no time.
func (t *tour) noted(what, note string) {
	t.say(tourLine{what, "", note})
	fmt.Fprintf(t.out, "  %-32s %s\n", what, t.style.dim(note))
}

// modelRow is what the closing table says of a model.
type modelRow struct {
	Name, For, Parallel string
	Computes, Waits     gain
	// Python says that it is for functions in Python.
	Python bool
}

// gain is over one after another, 0 if it is not known.
type gain float64

// String is the gain in words.
func (g gain) String() string {
	if g <= 0 {
		return "-"
	}
	return units.Times(float64(g))
}

// table closes the tour: which model is for what.
func (t *tour) table() {
	fmt.Fprintf(t.out, "\n%s\n", t.style.bold("Choosing a concurrency model"))
	fmt.Fprintf(t.out, "%s\n\n", t.style.dim("What each gains over one after another, at its best, for work that computes\nand for work that waits: measured above."))
	line := func(paint func(string) string, name, best, parallel, computes, waits string) {
		text := fmt.Sprintf("  %-23s %-25s %-13s ", name, best, parallel)
		fmt.Fprintf(t.out, "%s%s %s\n", text, paint(fmt.Sprintf("%6s", computes)), paint(fmt.Sprintf("%6s", waits)))
	}
	plain := func(s string) string { return s }
	fmt.Fprintf(t.out, "%s", t.style.in("2", fmt.Sprintf("  %-23s %-25s %-13s %6s %6s\n", "model", "best for", "in parallel?", "comp.", "waits")))
	for i, r := range t.models {
		if i > 0 && r.Python && !t.models[i-1].Python {
			fmt.Fprintln(t.out)
		}
		paint := plain
		if r.Computes > 1.5 || r.Waits > 1.5 {
			paint = t.style.good
		}
		line(paint, r.Name, r.For, r.Parallel, r.Computes.String(), r.Waits.String())
	}
}
