package choose

import (
	"fmt"
	"io"
	"strings"
	"time"

	"concert/choose"
	"concert/cmd/concert/internal/cli"
	"concert/progress"
)

// follower shows the steps of Run on a terminal.
type follower struct {
	options
	w        io.Writer
	live     *liveView // nil if w is not a terminal
	profiled bool      // whether the duration of a run has been printed
}

func newFollower(w io.Writer, o options) *follower {
	f := &follower{options: o, w: w}
	if progress.IsTerminal(w) {
		f.live = &liveView{w: w}
	}
	return f
}

// announce prints what Run is going to do.
func (f *follower) announce(what string, inputs int) {
	if f.quiet {
		return
	}
	with := fmt.Sprintf("%d inputs in turn", inputs)
	if inputs == 1 {
		with = "one input"
	}
	fmt.Fprintf(f.w, "Running %s repeatedly, with %s: for at most %s,\nat most %s times, with concurrency up to %d.\n",
		what, with, shortTime(f.Budget), cli.Thousands(int64(f.MaxRuns)), f.MaxConcurrency)
}

func (f *follower) step(s choose.Step) {
	if f.quiet {
		return
	}
	if s.Profile != nil && !f.profiled {
		f.profiled = true
		f.clear()
		fmt.Fprintf(f.w, "One run alone takes %s.\n", progress.Duration(s.Profile.Wall))
	}
	if f.live != nil {
		columns, rows := f.live.size()
		f.live.draw(f.lines(s, columns, rows))
	}
}

// clear removes the live view from the terminal.
func (f *follower) clear() {
	if f.live != nil {
		f.live.draw(nil)
	}
}

// shortTime returns a duration as a user writes it for a flag, such as 2m.
func shortTime(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
