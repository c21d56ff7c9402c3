package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// report says how a download goes: to a terminal one line that changes, else a
// line for each file; or events as JSON.
type report struct {
	getOptions
	total       int
	out, errOut io.Writer
	style       style // of errOut
	begin       time.Time

	mu     sync.Mutex
	done   int  // guarded by mu: files
	failed int  // guarded by mu: of these
	drawn  bool // guarded by mu: the changing line is on the screen
}

func newReport(o getOptions, total int, out, errOut io.Writer) *report {
	return &report{getOptions: o, total: total, out: out, errOut: errOut, style: styleFor(errOut), begin: time.Now()}
}

// start draws the changing line, if there is a terminal, until stop.
func (r *report) start(bytes *atomic.Int64) (stop func()) {
	if !r.style.on || r.quiet || r.json {
		return func() {}
	}
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		before, last := int64(0), time.Now()
		rate := 0.0
		for {
			select {
			case <-quit:
				r.mu.Lock()
				r.eraseLocked()
				r.mu.Unlock()
				return
			case now := <-tick.C:
				n := bytes.Load()
				rate = 0.7*rate + 0.3*float64(n-before)/now.Sub(last).Seconds()
				before, last = n, now
				r.mu.Lock()
				r.eraseLocked()
				line := fmt.Sprintf("%d of %d files, %s, %s/s", r.done, r.total, size(n), size(int64(rate)))
				if r.failed > 0 {
					line += fmt.Sprintf(", %d failed", r.failed)
				}
				fmt.Fprint(r.errOut, line)
				r.drawn = true
				r.mu.Unlock()
			}
		}
	}()
	return func() { close(quit); <-ended }
}

func (r *report) eraseLocked() {
	if r.drawn {
		fmt.Fprint(r.errOut, "\r\x1b[K")
		r.drawn = false
	}
}

// event is a line of --json.
type event struct {
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

func (r *report) emit(e event) {
	b, err := json.Marshal(e)
	if err != nil {
		panic(err) // strings and numbers always encode
	}
	fmt.Fprintf(r.out, "%s\n", b)
}

// finished reports one file.
func (r *report) finished(o outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done++
	if o.err != nil {
		r.failed++
	}
	kind := "done"
	switch {
	case o.err != nil:
		kind = "failed"
	case o.Present:
		kind = "present"
	}
	if r.json {
		e := event{Event: kind, URL: o.shown(), Path: o.Path, Size: o.Size, Resumed: o.Resumed, SHA256: o.SHA256, Attempts: o.attempts}
		if o.err != nil {
			e.Error = o.why()
		}
		r.emit(e)
		return
	}
	r.eraseLocked()
	if o.err == nil {
		fmt.Fprintln(r.out, o.Path)
	}
	if r.style.on || r.quiet {
		return // the changing line says enough, and failures come at the end
	}
	if o.err != nil {
		fmt.Fprintf(r.errOut, "%-7s %s: %s\n", kind, o.shown(), o.why())
		return
	}
	note := size(o.Size)
	if o.Resumed > 0 {
		note += fmt.Sprintf(", %s of it from before", size(o.Resumed))
	}
	fmt.Fprintf(r.errOut, "%-7s %s (%s)\n", kind, o.shown(), note)
}

// summary closes the report.
func (r *report) summary(failed []outcome, interrupted bool) {
	took := time.Since(r.begin)
	if r.json {
		r.emit(event{Event: "summary", Files: r.total, Failed: len(failed), Seconds: took.Seconds()})
	}
	if len(failed) > 0 {
		var b strings.Builder
		fmt.Fprintf(&b, "%d of %d files failed:\n", len(failed), r.total)
		for _, o := range failed {
			fmt.Fprintf(&b, "  %s: %s\n", o.shown(), o.why())
		}
		if interrupted {
			b.WriteString("The same command continues where it stopped.\n")
		}
		fmt.Fprint(r.errOut, b.String())
		return
	}
	if !r.quiet && !r.json {
		fmt.Fprintf(r.errOut, "%d files in %s\n", r.total, seconds(took))
	}
}

// size prints a number of bytes.
func size(n int64) string {
	const unit = 1000
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	f, i := float64(n)/unit, 0
	for ; f >= 999.5 && i < 4; i++ {
		f /= unit
	}
	return fmt.Sprintf("%.3g %cB", f, "kMGTP"[i])
}
