// Package tour is the command "concert tour". It runs the ideas of the guide on
// this machine, one station after another, and prints how long they take. Each
// station is a file.
package tour

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"concert/choose"
	"concert/cmd/concert/internal/cli"
	"concert/internal/units"
	"concert/progress"
)

const help = `Usage: concert tour [flags]

Runs the ideas of docs/guide.md on this machine, and prints measurements. Then
it uses 'concert choose' to find the right model for five kinds of work. It
works offline, because it connects only to itself. It takes half a minute, and
longer if 'go run' builds it first. It removes its files at the end.

Flags:

Exit codes:
  0    everything ran, and every result was right
  1    a part failed or had a wrong result
  2    the command line is wrong
  130  interrupted

Examples:
  concert tour
  concert tour | less      plain text
  concert tour --html tour.html
`

// Command is the command "concert tour".
var Command = cli.Command{Name: "tour", Summary: "run and measure the ideas of the guide on this machine", Help: help, Flags: newFlags(new(string)), Run: run}

// newFlags returns the flags. They set html to the name of the page.
func newFlags(html *string) *cli.Flags {
	f := cli.NewFlags()
	f.Add(html, "html", "FILE", "write the results as an HTML page as well")
	return f
}

// station is one part of the tour. It shows an idea of the guide.
type station struct {
	title string
	intro string
	run   func(ctx context.Context, t *tour) error
}

var stations = []station{
	{"Goroutines, for I/O-bound work", "Eight pages from a server that takes 60 ms for each, saved and checked.", showDownloads},
	{"Shared data needs a lock", "Four goroutines count to 40,000 together.", showLock},
	{"All processors, for CPU-bound work", "Sums of squares, on one processor and on all.", showCompute},
	{"Processes, for work that may crash", "The same program again, with its own memory: a crash ends only one worker.", showProcesses},
	{"One interface for all of them", "Submit, map, as completed, timeouts: only the line with the executor changes.", showInterface},
	{"The global interpreter lock, in Python itself", "Only one thread of an interpreter can compute. Any number of threads can wait.", showPython},
	{"The same lock in Go, for engines that need one", "For an interpreter or a C library that only one goroutine may use at a time.", showGIL},
	{"An event loop, for many connections", "Coroutines run in turn, and switch only where they await.", showLoop},
	{"Choosing, by measuring", "The verdicts of 'concert choose' for five kinds of work, with every model.", showChoose},
}

// tour is the state that stations share, and what they have printed.
type tour struct {
	out         io.Writer
	style       cli.Style
	dir         string // the directory for the files of the tour
	sections    []*section
	models      []modelRow   // the rows of the closing table
	comparisons []comparison // the reports from which the closing table is made
}

// section is what a station has printed.
type section struct {
	Title, Intro string
	Lines        []line
}

// line is a line of a station.
type line struct {
	What, Note string
	Took       time.Duration // zero if the line has no time
	Long       bool          // whether the note is a paragraph
}

// Time returns the time as text. It is empty if the line has no time.
func (l line) Time() string {
	if l.Took == 0 {
		return ""
	}
	return progress.Duration(l.Took)
}

func run(ctx context.Context, args []string, out, errOut io.Writer) (err error) {
	var html string
	flags := newFlags(&html)
	if err := flags.ParseAnywhere(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return cli.UsageError{Text: fmt.Sprintf("unexpected argument %q", flags.Arg(0))}
	}
	file, err := cli.NewOutput(html)
	if err != nil {
		return err
	}
	defer file.Discard()
	dir, err := os.MkdirTemp("", "concert-tour-")
	if err != nil {
		return fmt.Errorf("making a temporary directory for the downloads: %w", err)
	}
	defer os.RemoveAll(dir)

	t := &tour{out: out, style: cli.StyleFor(out), dir: dir}
	begin := time.Now()
	where := fmt.Sprintf("on %d processors, %s/%s, %s", runtime.GOMAXPROCS(0), runtime.GOOS, runtime.GOARCH, runtime.Version())
	fmt.Fprintf(out, "%s %s\n", t.style.Bold("A tour of concert"), t.style.Dim(where))
	for i, s := range stations {
		fmt.Fprintf(out, "\n%s\n%s\n\n", t.style.Bold(fmt.Sprintf("%d. %s", i+1, s.title)), t.style.Dim(s.intro))
		t.sections = append(t.sections, &section{Title: s.title, Intro: s.intro})
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
	return file.Commit(t.page(file, where, end))
}

// say adds a line to the section of the current station.
func (t *tour) say(l line) {
	s := t.sections[len(t.sections)-1]
	s.Lines = append(s.Lines, l)
}

// measured prints one line of a station.
func (t *tour) measured(what string, d time.Duration, note string) {
	t.say(line{What: what, Note: note, Took: d})
	fmt.Fprintln(t.out, strings.TrimRight(fmt.Sprintf("  %-32s %8s  %s", what, progress.Duration(d), t.style.Dim(note)), " "))
}

// noted prints one line of a station about something that has no time.
func (t *tour) noted(what, note string) {
	t.say(line{What: what, Note: note})
	fmt.Fprintf(t.out, "  %-32s %s\n", what, t.style.Dim(note))
}

// modelRow is a row of the closing table.
type modelRow struct {
	Name, For, Parallel string
	Computes, Waits     gain
	Language            string // of the functions
}

// gain is the speed-up over sequential work, or 0 if the speed-up is unknown.
type gain float64

// String returns the gain as text, such as "2.5x".
func (g gain) String() string {
	if g <= 0 {
		return "-"
	}
	return units.Times(float64(g))
}

// doubt says how many verdicts behind the closing table are only guesses. It
// returns "" if no verdict is a guess.
func (t *tour) doubt() string {
	guesses := 0
	for _, c := range t.comparisons {
		for _, r := range []*choose.Report{c.computes, c.waits} {
			if r.Verdict.Certainty == choose.Unclear {
				guesses++
			}
		}
	}
	if guesses == 0 {
		return ""
	}
	return fmt.Sprintf("%d of the %d verdicts were \"Not sure yet\", so the next run may differ.", guesses, 2*len(t.comparisons))
}

// table prints the closing table, which says what each model is for, and the
// conclusions.
func (t *tour) table() {
	fmt.Fprintf(t.out, "\n%s\n", t.style.Bold("Choosing a concurrency model"))
	fmt.Fprintf(t.out, "%s\n\n", t.style.Dim("The best speed-up of each model over sequential work, for CPU-bound and for\nI/O-bound work, as measured above."))
	if doubt := t.doubt(); doubt != "" {
		fmt.Fprintf(t.out, "%s\n\n", t.style.Dim(doubt))
	}
	line := func(paint func(string) string, name, best, parallel, computes, waits string) {
		text := fmt.Sprintf("  %-23s %-25s %-13s ", name, best, parallel)
		fmt.Fprintf(t.out, "%s%s %s\n", text, paint(fmt.Sprintf("%6s", computes)), paint(fmt.Sprintf("%6s", waits)))
	}
	plain := func(s string) string { return s }
	fmt.Fprintf(t.out, "%s", t.style.In("2", fmt.Sprintf("  %-23s %-25s %-13s %6s %6s\n", "model", "best for", "in parallel?", "comp.", "waits")))
	for i, r := range t.models {
		if i > 0 && r.Language != t.models[i-1].Language {
			fmt.Fprintln(t.out)
		}
		paint := plain
		if r.Computes > 1.5 || r.Waits > 1.5 {
			paint = t.style.Good
		}
		line(paint, r.Name, r.For, r.Parallel, r.Computes.String(), r.Waits.String())
	}
	fmt.Fprintln(t.out)
	for _, s := range t.conclusions() {
		fmt.Fprintln(t.out, cli.Wrap(s, 78))
	}
}
