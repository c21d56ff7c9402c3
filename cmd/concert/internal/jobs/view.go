package jobs

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"concert"
	"concert/cmd/concert/internal/jobs/output"
	"concert/internal/printable"
	"concert/progress"
)

// view shows the progress, and prints messages and the summary. Its methods may
// be called concurrently.
type view struct {
	quiet bool
	total int               // 0 if it is not known
	show  *progress.Display // nil if there is no progress
	out   io.Writer         // the output of jobs; it appears above the bar
	err   io.Writer

	// writing is locked while a message is written. The write blocks if the
	// reader of the field err is stuck. A goroutine that needs both locks must
	// lock writing before mu.
	writing sync.Mutex

	mu         sync.Mutex
	done       int             // guarded by mu: jobs that have succeeded
	resumed    int             // guarded by mu: jobs that an earlier run has recorded; they are also in done or in failures
	canceled   int             // guarded by mu: jobs that were killed because the run ended
	left       int             // guarded by mu: jobs that this run leaves out, because they have no record
	failed     int             // guarded by mu
	failures   output.Failures // guarded by mu
	isStopping bool            // guarded by mu: whether the line of stopping is printed
	isClosed   bool            // guarded by mu
}

// newView returns a view. It has no bar if the user wants no messages (quiet).
// It also has no bar if jobs write directly to the terminal (ungroup), because
// the bar would disturb their output.
func newView(o *options, total int, out, errOut io.Writer) *view {
	v := &view{quiet: o.quiet, total: total, out: out, err: errOut}
	if o.quiet || o.ungroup && progress.IsTerminal(errOut) {
		return v
	}
	v.show = progress.New(errOut, &progress.Options{Total: total, Noun: "jobs", Kind: error.Error})
	v.err = v.show.Above(errOut)
	if f, ok := out.(*os.File); ok && progress.IsTerminal(f) {
		v.out = v.show.Above(out)
	}
	return v
}

// note prints a message, unless the run is stopping.
func (v *view) note(text string) {
	v.writing.Lock()
	defer v.writing.Unlock()
	v.mu.Lock()
	silent := v.quiet || v.isStopping || v.isClosed
	v.mu.Unlock()
	if !silent {
		io.WriteString(v.err, "concert map: "+printable.Text(text))
	}
}

// begun shows that a job runs.
func (v *view) begun(j *job) {
	if v.show != nil {
		v.show.Observe(concert.Event{Kind: concert.TaskStarted, Task: uint64(j.number)})
	}
}

// settled counts a job that has settled.
func (v *view) settled(j *job, r *output.Record, o *output.Output) {
	v.mu.Lock()
	switch {
	case r.Status == output.OK:
		v.done++
		v.failures.Add(r, o)
	case isFailure(r):
		v.failed++
		v.failures.Add(r, o)
	case r.Status == output.Canceled:
		v.canceled++
	case j.left:
		v.left++
	}
	if r.Resumed {
		v.resumed++
	}
	v.mu.Unlock()
	if v.show == nil || r.Status != output.OK && !isFailure(r) {
		return
	}
	e := concert.Event{Kind: concert.TaskFinished, Task: uint64(j.number)}
	if r.Status != output.OK {
		e.Err = attemptError{r}
	}
	if r.Resumed {
		e.Worker = -1 // the job did not start in this run
	}
	v.show.Observe(e)
}

// kindOf returns a short text that says how a job ended. The text is the same
// for many jobs.
func kindOf(r *output.Record) string {
	switch {
	case r.Signal != "":
		return r.Signal
	case r.Status == output.Failed && r.ExitCode != 0:
		return fmt.Sprintf("exit code %d", r.ExitCode)
	case r.Status == output.Failed:
		// The text of a Python exception begins with its type.
		if name, _, _ := strings.Cut(r.Error, ":"); name != "" && len(name) <= maxKind && !strings.Contains(name, " ") {
			return printable.Text(name)
		}
	}
	return string(r.Status)
}

// maxKind is the maximum length of a kind of failures.
const maxKind = 30

// stopping says why the command does not end at once after Ctrl-C.
func (v *view) stopping(running int) {
	v.writing.Lock()
	defer v.writing.Unlock()
	v.mu.Lock()
	closed := v.isClosed
	v.isStopping = true
	v.mu.Unlock()
	if closed {
		return
	}
	text := "interrupted: waiting for the reader of the output; a second Ctrl-C ends at once\n"
	if running > 0 {
		text = fmt.Sprintf("interrupted: running jobs have %v to end; a second Ctrl-C kills them\n", grace)
	}
	io.WriteString(v.err, text)
}

// tallyLocked returns the numbers of jobs that are done, failed, canceled and
// not started.
func (v *view) tallyLocked() string {
	text := fmt.Sprintf("%d jobs done", v.done)
	if v.total > 0 {
		text = fmt.Sprintf("%d of %d jobs done", v.done, v.total)
	}
	if v.failed > 0 {
		text += fmt.Sprintf(", %d failed", v.failed)
	}
	if v.canceled > 0 {
		text += fmt.Sprintf(", %d canceled", v.canceled)
	}
	if n := v.total - v.done - v.failed - v.canceled; v.total > 0 && n > 0 {
		text += fmt.Sprintf(", %d not started", n)
	}
	return text
}

// close removes the bar. The parameter stopped is the reason why the run ended
// before its last job, or nil. The parameter again says how to continue.
func (v *view) close(interrupted bool, stopped error, again string) {
	if v.show != nil {
		v.show.Close()
	}
	v.writing.Lock()
	defer v.writing.Unlock()
	if text := v.last(interrupted, stopped, again); text != "" {
		io.WriteString(v.err, text)
	}
}

// last returns the last message of the first call of close, and otherwise "".
func (v *view) last(interrupted bool, stopped error, again string) (text string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.isClosed {
		return ""
	}
	v.isClosed = true
	if interrupted {
		text = "interrupted: " + v.tallyLocked() + again + "\n"
	} else {
		text = v.failures.Text()
		if stopped != nil {
			text += fmt.Sprintf("stopped, because %v: %s%s\n", stopped, v.tallyLocked(), again)
		}
		if v.left == 1 {
			text += "1 job has no record, and was not run: --resume runs it\n"
		} else if v.left > 1 {
			text += fmt.Sprintf("%d jobs have no record, and were not run: --resume runs them\n", v.left)
		}
	}
	return text
}

// counts returns the number of jobs that failed, and the number of jobs that
// this run left out.
func (v *view) counts() (failed, left int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.failed, v.left
}
