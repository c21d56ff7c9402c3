package get

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"concert"
	"concert/internal/printable"
	"concert/progress"
)

// report prints the progress: a bar on a terminal, and elsewhere a line for
// each file. With --json it prints events instead. Only one goroutine uses a
// report.
type report struct {
	options
	total       int
	out, errOut io.Writer // lines that are written to them appear above the bar
	begin       time.Time
	show        *progress.Display // nil if there is no progress, as with --json
	trace       concert.Observer  // nil without a trace
	each        bool              // whether to print a line for each file
	failed      []outcome
}

func newReport(o options, total int, out, errOut io.Writer) *report {
	r := &report{options: o, total: total, out: out, errOut: errOut, begin: time.Now()}
	if o.quiet || o.json {
		return r
	}
	r.each = !progress.IsTerminal(errOut)
	r.show = progress.New(errOut, &progress.Options{Total: total, Noun: "files", Unit: progress.Bytes})
	r.out, r.errOut = r.show.Above(out), r.show.Above(errOut)
	return r
}

// observer returns the observer of the executor, or nil.
func (r *report) observer() concert.Observer {
	switch {
	case r.show == nil:
		return r.trace
	case r.trace == nil:
		return r.show.Observe
	}
	return func(e concert.Event) {
		r.show.Observe(e)
		r.trace(e)
	}
}

// Event is a line of the output with --json.
type Event struct {
	Event    string  `json:"event"` // done, present, failed or summary
	URL      string  `json:"url,omitempty"`
	Path     string  `json:"path,omitempty"`
	Size     int64   `json:"size,omitempty"`
	Resumed  int64   `json:"resumed,omitempty"`
	SHA256   string  `json:"sha256,omitempty"`
	Attempts int     `json:"attempts,omitempty"`
	Error    string  `json:"error,omitempty"`
	Files    int     `json:"files,omitempty"`
	Failed   int     `json:"failed,omitempty"`
	Seconds  float64 `json:"seconds,omitempty"`
}

func (r *report) emit(e Event) {
	b, err := json.Marshal(e)
	if err != nil {
		panic(err) // cannot happen: strings and numbers can always be encoded
	}
	fmt.Fprintf(r.out, "%s\n", b)
}

// finished reports one file.
func (r *report) finished(o outcome) {
	kind := "done"
	switch {
	case o.err != nil:
		kind = "failed"
		r.failed = append(r.failed, o)
	case o.Present:
		kind = "present"
	}
	if r.json {
		e := Event{Event: kind, URL: o.shown(), Path: o.Path, Size: o.Size, Resumed: o.Resumed, SHA256: o.SHA256, Attempts: o.attempts}
		if o.err != nil {
			e.Error = o.why()
		}
		r.emit(e)
		return
	}
	if o.err == nil {
		fmt.Fprintln(r.out, o.Path)
	}
	if !r.each {
		return // the failed files are listed at the end
	}
	note := progress.Bytes(o.Size)
	switch {
	case o.err != nil:
		fmt.Fprintf(r.errOut, "%-7s %s: %s\n", kind, o.shown(), printable.Text(o.why()))
		return
	case o.Resumed > 0:
		note += fmt.Sprintf(", %s of it downloaded earlier", progress.Bytes(o.Resumed))
	}
	fmt.Fprintf(r.errOut, "%-7s %s (%s)\n", kind, o.shown(), note)
}

// close ends the report with the list of failed files, and returns their
// number.
func (r *report) close(interrupted bool) int {
	if r.show != nil {
		r.show.Close()
	}
	if r.json {
		r.emit(Event{Event: "summary", Files: r.total, Failed: len(r.failed), Seconds: time.Since(r.begin).Seconds()})
	}
	if len(r.failed) > 0 {
		var b strings.Builder
		fmt.Fprintf(&b, "%d of %d files failed:\n", len(r.failed), r.total)
		for _, o := range r.failed {
			fmt.Fprintf(&b, "  %s: %s\n", o.shown(), printable.Text(o.why()))
		}
		if interrupted {
			b.WriteString("The same command continues where it stopped.\n")
		}
		fmt.Fprint(r.errOut, b.String())
	}
	return len(r.failed)
}
