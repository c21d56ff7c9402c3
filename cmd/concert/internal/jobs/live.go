package jobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"

	"concert"
	"concert/cmd/concert/internal/jobs/output"
	"concert/dashboard"
)

// live shows the attempts of jobs on the live page of --web, and handles the
// buttons of the page. A nil live does nothing.
type live struct {
	feed dashboard.Feed
	name string // the name of the command or the function

	mu      sync.Mutex
	cancels map[uint64]context.CancelCauseFunc // guarded by mu: the cancel functions of running attempts, by the number of the job
	total   int                                // guarded by mu: number of jobs, or 0 while it is not known
	retried int                                // guarded by mu: attempts after the first one
}

// errOnPage is the cause with which a user on the live page cancels an
// attempt.
var errOnPage = errors.New("canceled on the live page")

// openLive starts the live page, if the flag is set.
func (m *mapper) openLive(errOut io.Writer) (end func(), err error) {
	l := &live{cancels: map[uint64]context.CancelCauseFunc{}, name: m.py}
	if m.py == "" {
		l.name = filepath.Base(m.argv[0])
	}
	page, err := m.web.Serve("map", dashboard.Options{
		Title:    "concert map: " + l.name,
		OnPause:  func(_ context.Context, pause bool) error { m.pauseOnPage(pause); return nil },
		OnCancel: l.cancel,
	}, errOut)
	if page == nil || err != nil {
		return func() {}, err
	}
	if !m.choose && !m.options.jobs.auto {
		l.feed.SetWorkers(m.concurrency())
	}
	page.Add("jobs", &l.feed)
	m.engine.live = l
	return page.Close, nil
}

// pauseOnPage stops the start of jobs, or permits it again. It prints a
// message, because the user may close the page while the run is paused.
func (m *mapper) pauseOnPage(pause bool) {
	m.gate.pause(pause)
	text := "the live page has continued the run\n"
	if pause {
		text = "the live page has paused the run: no further job starts\n"
	}
	if v := m.shown.Load(); v != nil {
		go v.note(text) // blocks while the reader of the standard error is stuck
	}
}

// expect sets the number of jobs, if it is known.
func (l *live) expect(total int) {
	if l == nil || total == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total = max(l.total, total)
	l.feed.SetTotal(l.total + l.retried)
}

// cancel cancels a running attempt.
func (l *live) cancel(_ context.Context, t dashboard.Task) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	cancel := l.cancels[t.ID]
	if cancel == nil {
		return fmt.Errorf("job %d has ended", t.ID)
	}
	cancel(errOnPage)
	return nil
}

// started shows an attempt that starts.
func (l *live) started(j *job, cancel context.CancelCauseFunc) {
	if l == nil {
		return
	}
	l.mu.Lock()
	l.cancels[uint64(j.number)] = cancel
	l.mu.Unlock()
	l.feed.Observe(concert.Event{Kind: concert.TaskStarted, Task: uint64(j.number), Name: l.name, Input: l.input(j), Worker: -1})
}

// ended shows that an attempt has ended. retry is whether another attempt
// follows.
func (l *live) ended(j *job, r *output.Record, o *output.Output, retry bool) {
	if l == nil {
		return
	}
	l.mu.Lock()
	delete(l.cancels, uint64(j.number))
	if retry {
		l.retried++
		if l.total > 0 {
			l.feed.SetTotal(l.total + l.retried)
		}
	}
	l.mu.Unlock()
	e := concert.Event{Kind: concert.TaskFinished, Task: uint64(j.number), Name: l.name, Input: l.input(j), Worker: -1}
	switch {
	case r.Status == output.Canceled || r.Status == output.NotStarted && r.Error == "":
		e.Err = concert.ErrCanceled
	case r.Status == output.Timeout:
		e.Err = liveError{attemptError{r}, context.DeadlineExceeded, ""}
	case r.Status != output.OK:
		e.Err = liveError{attemptError{r}, nil, endOf(o)}
	}
	l.feed.Observe(e)
}

// input returns the input of a job, with the number of the job as its index.
func (l *live) input(j *job) *concert.Input {
	return &concert.Input{Name: l.name, Index: int64(j.number), Label: j.label()}
}

// liveError is the error of an attempt on the live page.
type liveError struct {
	attemptError
	kind   error  // for errors.Is
	stderr string // the end of the standard error
}

// Error says how the attempt ended, and why.
func (e liveError) Error() string {
	text := e.attemptError.Error()
	if e.Record.Error != "" && e.Record.Error != text {
		text += ": " + e.Record.Error
	}
	return text
}

// Unwrap returns the kind of the error.
func (e liveError) Unwrap() error { return e.kind }

// Format prints the standard error as well under %+v.
func (e liveError) Format(s fmt.State, verb rune) {
	io.WriteString(s, e.Error())
	if verb == 'v' && s.Flag('+') && e.stderr != "" {
		io.WriteString(s, "\n\n"+e.stderr)
	}
}

// maxShownStderr is the maximum size of the standard error on the live page.
const maxShownStderr = 8 << 10

// endOf returns the end of the standard error of an attempt.
func endOf(o *output.Output) string {
	if o == nil {
		return ""
	}
	_, size := o.Size()
	r := o.Stderr()
	if left := size - maxShownStderr; left > 0 {
		var err error
		if s, ok := r.(io.Seeker); ok {
			_, err = s.Seek(left, io.SeekStart)
		} else {
			_, err = io.CopyN(io.Discard, r, left)
		}
		if err != nil {
			return ""
		}
	}
	text, _ := io.ReadAll(io.LimitReader(r, maxShownStderr))
	return string(text)
}
