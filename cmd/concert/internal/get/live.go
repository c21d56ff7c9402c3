package get

import (
	"errors"

	"concert"
	"concert/cmd/concert/internal/web"
	"concert/dashboard"
)

// live shows the files on the live page of --web. A nil live does nothing.
type live struct{ feed dashboard.Feed }

// openLive shows a number of files on a page.
func openLive(page *web.Page, files int) *live {
	l := new(live)
	l.feed.SetTotal(files)
	page.Add("files", &l.feed)
	return l
}

const liveName = "download"

// fileEvent returns the start or the end of a file, by its index in the list.
func fileEvent(kind concert.EventKind, w *wanted, index int32) concert.Event {
	number := int64(index) + 1
	return concert.Event{
		Kind: kind, Task: uint64(number), Name: liveName, Worker: -1,
		Input: &concert.Input{Name: liveName, Index: number, Label: w.shown()},
	}
}

// begun shows a file that is looked at.
func (l *live) begun(f *file) {
	if l != nil {
		l.feed.Observe(fileEvent(concert.TaskStarted, f.wanted, f.index))
	}
}

// progress shows the number of bytes of a file that have arrived.
func (l *live) progress(f *file, done, total int64) {
	if l != nil {
		l.feed.Observe(concert.Event{Kind: concert.TaskProgress, Task: f.number(), Done: done, Total: max(0, total)})
	}
}

// finished shows the end of a file. stopped is whether the list was stopped.
func (l *live) finished(o *outcome, stopped bool) {
	if l == nil {
		return
	}
	e := fileEvent(concert.TaskFinished, o.wanted, o.index)
	switch {
	case stopped:
		e.Err = concert.ErrCanceled
	case o.err != nil:
		e.Err = errors.New(o.why())
	}
	l.feed.Observe(e)
}
