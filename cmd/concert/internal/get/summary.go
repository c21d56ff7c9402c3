package get

import (
	"fmt"
	"io"
	"strings"
	"time"

	"concert/internal/printable"
	"concert/progress"
)

// stoppedBy reports the file whose error stops the list.
func (r *report) stoppedBy(o outcome) {
	r.stopReason = &o
	r.live.finished(&o, false)
	r.failures.add(&o)
	r.kept += o.kept()
	if r.json {
		r.emitOutcome(&o, false)
	}
}

// stopping says why the program does not end at once after Ctrl-C. It prints
// nothing if the last lines are printed already.
func (r *report) stopping() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.isClosed {
		r.isStopping = true
		io.WriteString(r.errOut, "interrupted: saving what has arrived; a second Ctrl-C ends at once\n")
	}
}

// close ends the report. It reports whether files failed.
func (r *report) close(interrupted bool) (failed bool) {
	r.mu.Lock()
	r.isClosed = true
	wasStopping := r.isStopping
	r.mu.Unlock()
	if r.show != nil {
		r.show.Close()
	}
	if r.json {
		r.emit(r.summary(interrupted))
	}
	var text string
	switch {
	case interrupted:
		text = r.unseen() + r.interruption(wasStopping)
	case r.stopReason != nil:
		text = r.unseen() + r.stop()
	default:
		if n := r.present - r.skipped; n > 0 || r.skipped > 0 {
			text = r.presence()
		}
		if r.failures.count > 0 && (r.total > 1 || r.quiet) { // if there is one file, its failure was printed already
			text += r.failed()
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	io.WriteString(r.errOut, printable.Text(text))
	return r.failures.count > 0
}

// failed returns the list of failures.
func (r *report) failed() string {
	more := " (the lines above have all)"
	if r.json {
		more = " (the events have all)"
	}
	return r.failures.text(r.total, r.quiet, more)
}

// unseen returns the failures that were not printed when they happened.
func (r *report) unseen() string {
	switch {
	case !r.quiet:
		return strings.Join(r.late, "")
	case r.failures.count > 1 || r.stopReason == nil && r.failures.count > 0: // report.stop prints the failure that stopped the list
		return r.failed()
	}
	return ""
}

// summary returns the last event.
func (r *report) summary(interrupted bool) summaryEvent {
	return summaryEvent{
		eventBase: newEvent("summary"), Files: r.total, Done: r.done, Present: r.present, Skipped: r.skipped, Failed: r.failures.count,
		Unfinished: r.partly + r.wasted, NotStarted: r.notStarted(), Bytes: r.bytes, Kept: r.kept, Interrupted: interrupted,
		Seconds: time.Since(r.begin).Seconds(),
	}
}

// presence returns a text about the number of files that existed.
func (r *report) presence() string {
	if r.quiet || r.json {
		return ""
	}
	var parts []string
	if n := r.present - r.skipped; n > 0 {
		parts = append(parts, fmt.Sprintf("%d present", n))
	}
	if r.skipped > 0 {
		parts = append(parts, fmt.Sprintf("%d skipped", r.skipped))
	}
	return strings.Join(parts, ", ") + "\n"
}

// tally returns a text with the numbers of files that are done, have failed,
// are partly kept, and were not started.
func (r *report) tally() string {
	text := fmt.Sprintf("%d of %d files done", r.done+r.present, r.total)
	if n := r.failures.count; n > 0 {
		text += fmt.Sprintf(", %d failed", n)
	}
	if r.partly > 0 {
		text += fmt.Sprintf(", %d partly", r.partly)
	}
	if r.kept > 0 {
		text += fmt.Sprintf(" (%s kept)", progress.Bytes(r.kept))
	}
	if r.wasted > 0 {
		text += fmt.Sprintf(", %d partly (nothing kept, because the server cannot continue them)", r.wasted)
	}
	if n := r.notStarted(); n > 0 {
		text += fmt.Sprintf(", %d not started", n)
	}
	return text
}

// interruption returns the lines for the end after Ctrl-C: at most two lines,
// or one line if stopping has printed its line before.
func (r *report) interruption(wasStopping bool) string {
	text := "interrupted: " + r.tally()
	switch {
	case r.kept == 0 && r.notStarted() == 0:
	case wasStopping:
		text += ". To continue, run the same command again."
	default:
		text += "\nTo continue, run the same command again."
	}
	return text + "\n"
}

// stop returns the message about the error that stopped the list.
func (r *report) stop() string {
	o := r.stopReason
	return fmt.Sprintf("%s\nstopped: %s: %s\n", r.tally(), o.shown(), o.reason())
}
