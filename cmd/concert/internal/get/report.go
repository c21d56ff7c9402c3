package get

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"concert"
	"concert/download"
	"concert/internal/printable"
	"concert/progress"
)

// report prints the progress: a bar on a terminal, and elsewhere a line for
// each file. If --json is set, it prints events instead.
//
// The display counts files and not tasks of the executor, because a file whose
// host is away may need several tasks. The goroutine of getAll calls finished,
// stoppedBy and close. The workers call the other methods.
type report struct {
	options
	total  int
	begin  time.Time
	show   *progress.Display // nil if there is no progress, as with --json
	trace  concert.Observer  // nil without a trace
	live   *live             // nil without a live page
	each   bool              // whether to print a line for each file
	isSeen []bool            // for each file of the list, whether begun was called

	failures    failures
	done        int // downloaded files
	present     int // files that existed, skipped ones included
	skipped     int // present files that were not compared
	unfinished  int // started files that were stopped
	partly      int // unfinished files whose bytes are kept
	wasted      int // unfinished files whose bytes had arrived, but are not kept
	bytes, kept int64
	stopReason  *outcome // the file whose error stopped the list
	late        []string // lines about failures after the message about the interruption

	mu          sync.Mutex
	out, errOut io.Writer            // guarded by mu; lines that are written to them appear above the bar
	outErr      error                // guarded by mu: the first error of out
	told        map[string]time.Time // guarded by mu: the time of the last line about a host
	isClosed    bool                 // guarded by mu: whether the last lines are printed
	isStopping  bool                 // guarded by mu: whether the message about the interruption is printed; after it, note prints nothing
}

func newReport(o options, total int, out, errOut io.Writer) *report {
	r := &report{
		options: o, total: total, out: out, errOut: errOut, begin: time.Now(), told: make(map[string]time.Time), isSeen: make([]bool, total),
	}
	if o.quiet || o.json {
		return r
	}
	r.each = !progress.IsTerminal(errOut)
	r.show = progress.New(errOut, &progress.Options{Total: total, Noun: "files", Unit: progress.Bytes})
	r.out, r.errOut = r.show.Above(out), r.show.Above(errOut)
	return r
}

// print prints text to the standard output.
func (r *report) print(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := io.WriteString(r.out, text); err != nil && r.outErr == nil {
		r.outErr = err
	}
}

// note prints text to the standard error, unless the report is closed or
// stopping. It reports whether it has printed the text.
func (r *report) note(text string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.isClosed || r.isStopping {
		return false
	}
	io.WriteString(r.errOut, printable.Text(text))
	return true
}

// writeError returns the first error of the standard output.
func (r *report) writeError() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.outErr
}

// number returns the number of a file for the display.
func (f *file) number() uint64 { return uint64(f.index) + 1 }

// begun reports that the work on a file has begun. For a file whose host is
// away, begun may be called several times: only the first call counts.
func (r *report) begun(f *file, path string) {
	if r.isSeen[f.index] {
		return
	}
	r.isSeen[f.index] = true
	r.live.begun(f)
	if r.show != nil {
		r.show.Observe(concert.Event{Kind: concert.TaskStarted, Task: f.number()})
	}
	if r.json {
		r.emit(startEvent{newFileEvent("start", f.wanted, path)})
	}
}

// progress shows the number of bytes of a file that have arrived.
func (r *report) progress(f *file, done, total int64) {
	r.live.progress(f, done, total)
	if r.show != nil {
		r.show.Observe(concert.Event{Kind: concert.TaskProgress, Task: f.number(), Done: done, Total: max(0, total)})
	}
}

// retry reports that an attempt failed, and that another one follows.
func (r *report) retry(f *file, path string, e download.Event) {
	o := outcome{wanted: f.wanted, err: e.Err}
	if r.json {
		r.emit(retryEvent{
			fileBase: newFileEvent("retry", f.wanted, path), Attempt: e.Attempt, Status: known(o.failedStatus()), Error: o.reason(),
			Delay: e.Delay.Seconds(),
		})
		return
	}
	reason := strings.TrimPrefix(o.reason(), "cannot get it: ")
	if r.mayTell(f.wanted.host + " " + reason) {
		r.note(fmt.Sprintf("retry   %s: %s%s\n", f.shown(), waiting(e.Delay), reason))
	}
}

// waitsForOther reports that another program downloads the same file.
func (r *report) waitsForOther(f *file) {
	if !r.json && r.mayTell("other") {
		r.note(fmt.Sprintf("waiting %s: another download of this file is running\n", f.shown()))
	}
}

// waits reports that a file waits for its host. It is for --json alone: the
// method away prints the line for people.
func (r *report) waits(o *outcome, pause time.Duration) {
	if r.json {
		r.emit(retryEvent{
			fileBase: newFileEvent("retry", o.wanted, o.Path), Attempt: o.attempts, Status: known(o.failedStatus()), Error: o.reason(), Delay: pause.Seconds(),
		})
	}
}

// away reports that a host is away.
func (r *report) away(n awayNotice) {
	if n.err != nil && !r.json && r.mayTell(n.host) {
		r.note(fmt.Sprintf("host    %s: %s%v\n", n.host, waiting(n.pause), n.err))
	}
}

// mayTell reports whether to print a line about a host. It permits one line
// per second for each host.
func (r *report) mayTell(what string) bool {
	if r.quiet {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if last, ok := r.told[what]; ok && now.Sub(last) < time.Second {
		return false
	}
	if len(r.told) >= 1000 {
		clear(r.told)
	}
	r.told[what] = now
	return true
}

// waiting returns the beginning of a message about a pause.
func waiting(d time.Duration) string {
	switch {
	case d >= time.Second:
		return fmt.Sprintf("waiting %.0f s: ", d.Seconds())
	case d >= 10*time.Millisecond:
		return fmt.Sprintf("waiting %d ms: ", d.Milliseconds())
	}
	return ""
}

// finished reports one file. stopped is whether the file is unfinished because
// the list was stopped.
func (r *report) finished(o outcome, stopped bool) {
	r.count(&o, stopped)
	r.live.finished(&o, stopped)
	if r.show != nil && !stopped {
		r.show.Observe(concert.Event{Kind: concert.TaskFinished, Task: uint64(o.index) + 1, Err: o.err})
	}
	if r.json {
		r.emitOutcome(&o, stopped)
		return
	}
	if o.err == nil {
		r.print(o.Path + "\n")
	}
	if stopped || r.quiet || !r.each && o.err == nil {
		return
	}
	kind, note := "done", progress.Bytes(o.Size)
	switch {
	case o.err != nil:
		if line := fmt.Sprintf("failed  %s: %s\n", o.shown(), o.why()); !r.note(line) {
			r.late = append(r.late, line)
		}
		return
	case o.skipped:
		kind = "skipped"
	case o.Present:
		kind = "present"
	case o.Resumed > 0:
		note += fmt.Sprintf(", %s of it downloaded earlier", progress.Bytes(o.Resumed))
	}
	r.note(fmt.Sprintf("%-7s %s (%s)\n", kind, o.shown(), note))
}

// count counts a file for the summary.
func (r *report) count(o *outcome, stopped bool) {
	switch {
	case stopped:
		r.unfinished++
		if kept := o.kept(); kept > 0 {
			r.partly++
			r.kept += kept
		} else if o.received {
			r.wasted++
		}
	case o.err != nil:
		r.failures.add(o)
		r.kept += o.kept()
	case o.Present:
		r.present++
		if o.skipped {
			r.skipped++
		}
	default:
		r.done++
		r.bytes += o.Size - o.Resumed
	}
}

// notStarted returns the number of files without a result. Files that were
// stopped before bytes arrived are among them.
func (r *report) notStarted() int {
	return r.total - r.done - r.present - r.failures.count - r.partly - r.wasted
}
