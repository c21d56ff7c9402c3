package get

import (
	"context"
	"time"

	"concert"
	"concert/download"
)

// tracker receives the events of one download. Most events only say that bytes
// have arrived. For such an event, tracker increments a counter and reads the
// clock. It reports the progress every 100 ms.
type tracker struct {
	*getter
	file *file
	task context.Context
	path string

	before   int // attempts of earlier tasks of the file
	attempts int
	reads    bool // whether readsFile was called
	status   int
	received bool
	reported time.Time // the time of the last report of progress
	emitted  time.Time // the time of the last event of progress for --json
}

const (
	reportInterval = 100 * time.Millisecond // minimum time between two reports of one file
	emitInterval   = time.Second            // minimum time between two events of progress of one file
)

// event receives an event of the download.
func (t *tracker) event(e download.Event) {
	switch e.Kind {
	case download.EventProgress:
		t.received = true
		t.hosts.arrived(t.file)
		t.progress(e.Done, e.Total, false)
	case download.EventHash:
		t.hosts.arrived(t.file)
		t.readsFile()
	case download.EventWait:
		t.readsFile()
		t.report.waitsForOther(t.file)
	case download.EventReply:
		t.status = e.Status
		t.hosts.replied(t.file)
		t.progress(e.Done, e.Total, true)
	case download.EventStart:
		t.attempts = t.before + e.Attempt
	case download.EventRetry:
		e.Attempt += t.before
		t.report.retry(t.file, t.path, e)
	}
}

// readsFile tells the hosts once that the download reads the existing bytes of
// the file, or waits for another download.
func (t *tracker) readsFile() {
	if !t.reads {
		t.reads = true
		t.hosts.readsFile(t.file)
	}
}

// progress reports the number of bytes that have arrived.
func (t *tracker) progress(done, total int64, atOnce bool) {
	now := time.Now()
	if !atOnce && now.Sub(t.reported) < reportInterval {
		return
	}
	t.reported = now
	t.report.progress(t.file, done, total)
	concert.Progress(t.task, done, max(0, total))
	if t.json && !t.received { // the first event comes after a second
		t.emitted = now
	} else if t.json && now.Sub(t.emitted) >= emitInterval {
		t.emitted = now
		t.report.emitProgress(t.file, t.path, done, total)
	}
}

// end reports the size of a file that was downloaded.
func (t *tracker) end(o *outcome) {
	if o.err == nil && !o.Present {
		t.progress(o.Size, o.Size, true)
	}
	t.status = max(t.status, o.Status)
}
