package get

import (
	"encoding/json"
	"errors"
	"time"

	"concert/download"
)

// The events of --json. docs/get.md describes them, and
// docs/get-events.schema.json has their schema. An event always has all of its
// fields, even if a number is 0. A value that is not known is null.

// eventBase has the fields of all events.
type eventBase struct {
	Event string    `json:"event"`
	Time  time.Time `json:"time"`
}

// fileBase has the fields of all events of a file.
type fileBase struct {
	eventBase
	URL  string `json:"url"`
	Path string `json:"path"`
}

type startEvent struct {
	fileBase
}

type planEvent struct {
	fileBase
	Action string `json:"action"`
}

type progressEvent struct {
	fileBase
	Done  int64  `json:"done"`
	Total *int64 `json:"total"`
}

type retryEvent struct {
	fileBase
	Attempt int     `json:"attempt"` // the attempt that failed
	Status  *int    `json:"status"`
	Error   string  `json:"error"`
	Delay   float64 `json:"delay"` // in seconds
}

// doneEvent is the event "done", and also the event "present".
type doneEvent struct {
	fileBase
	FinalURL *string           `json:"final_url"`
	Status   *int              `json:"status"`
	Size     int64             `json:"size"`
	Resumed  int64             `json:"resumed"`
	Digests  map[string]string `json:"digests"`
	Modified *time.Time        `json:"modified"`
	Skipped  bool              `json:"skipped"`
	Attempts int               `json:"attempts"`
	Seconds  float64           `json:"seconds"`
}

type failedEvent struct {
	fileBase
	Status      *int    `json:"status"`
	Error       string  `json:"error"`
	Interrupted bool    `json:"interrupted"`
	Kept        int64   `json:"kept"`
	Attempts    int     `json:"attempts"`
	Seconds     float64 `json:"seconds"`
}

type summaryEvent struct {
	eventBase
	Files       int     `json:"files"`
	Done        int     `json:"done"`
	Present     int     `json:"present"`
	Skipped     int     `json:"skipped"`
	Failed      int     `json:"failed"`
	Unfinished  int     `json:"unfinished"`
	NotStarted  int     `json:"not_started"`
	Bytes       int64   `json:"bytes"`
	Kept        int64   `json:"kept"`
	Interrupted bool    `json:"interrupted"`
	Seconds     float64 `json:"seconds"`
}

func newEvent(kind string) eventBase { return eventBase{kind, time.Now().UTC()} }

func newFileEvent(kind string, w *wanted, path string) fileBase {
	return fileBase{newEvent(kind), w.shown(), path}
}

// known returns a pointer to a value, or nil if the value is zero.
func known[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// emit prints an event.
func (r *report) emit(e any) {
	r.print(eventLine(e))
}

// eventLine returns the line of an event.
func eventLine(e any) string {
	b, err := json.Marshal(e)
	if err != nil {
		panic(err) // cannot happen: strings, numbers and times can always be encoded
	}
	return string(b) + "\n"
}

func (r *report) emitProgress(f *file, path string, done, total int64) {
	e := progressEvent{fileBase: newFileEvent("progress", f.wanted, path), Done: done}
	if total >= 0 {
		e.Total = &total
	}
	r.emit(e)
}

// emitOutcome prints the last event of a file.
func (r *report) emitOutcome(o *outcome, interrupted bool) {
	if o.err != nil {
		r.emit(failedEvent{
			fileBase: newFileEvent("failed", o.wanted, o.Path), Status: known(o.failedStatus()), Error: o.why(), Interrupted: interrupted,
			Kept: o.kept(), Attempts: o.attempts, Seconds: o.took.Seconds(),
		})
		return
	}
	kind := "done"
	if o.Present {
		kind = "present"
	}
	digests := make(map[string]string, len(o.Digests))
	for _, d := range o.Digests {
		digests[d.Algorithm] = d.Hex
	}
	r.emit(doneEvent{
		fileBase: newFileEvent(kind, o.wanted, o.Path), FinalURL: known(o.FinalURL), Status: known(o.status), Size: o.Size, Resumed: o.Resumed,
		Digests: digests, Modified: known(o.Modified), Skipped: o.skipped, Attempts: o.attempts, Seconds: o.took.Seconds(),
	})
}

// failedStatus returns the status of the last reply, or 0.
func (o *outcome) failedStatus() int {
	if e, ok := errors.AsType[*download.Error](o.err); ok && e.Status != 0 {
		return e.Status
	}
	return o.status
}

// kept returns the number of bytes that are kept for the next run.
func (o *outcome) kept() int64 {
	if e, ok := errors.AsType[*download.Error](o.err); ok {
		return e.Kept
	}
	return 0
}
