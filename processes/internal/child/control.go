package child

import (
	"context"
	"errors"
	"maps"
	"math"
	"os"
	"syscall"

	"concert"
	"concert/internal/frame"
)

// control reads the control pipe until the process of the pool has ended.
func (w *worker) control(pipe *os.File) {
	in := frame.NewReader(pipe, 1<<10)
	for {
		kind, body, err := in.Next()
		if errors.Is(err, syscall.EBADF) {
			// A task has closed the file descriptor. The worker continues
			// without Cancels and TakeBacks. The pool does not notice this,
			// because it watches only the pipes of calls and results. But it
			// kills the worker if a canceled call does not end within
			// Options.Grace.
			return
		}
		if err != nil {
			w.ended <- exitPoolGone
			return
		}
		switch kind {
		case frame.Cancel:
			if id, why, err := frame.ParseCancel(body); err == nil {
				w.cancel(id, why)
			}
		case frame.TakeBack:
			if id, err := frame.ParseID(body); err == nil {
				w.giveBack(id)
			}
		case frame.Watch:
			w.reports.Store(true)
		}
	}
}

// giveBack answers a TakeBack. Without a journal, the pool requests calls
// that have not begun; the answer has the number of the first call that this
// worker gives back. If there is a journal, the pool has already taken the
// calls back, and only tests whether this process answers.
func (w *worker) giveBack(id frame.ID) {
	w.mu.Lock()
	switch ahead := int32(id.Seq - w.id.Seq); {
	case ahead < 0:
		id.Index = math.MaxUint32 // all calls of the frame have begun
	case ahead == 0 && w.journal == nil:
		id.Index = max(id.Index, w.id.Index+1)
		fallthrough
	case w.journal == nil:
		w.givenBack[id.Seq] = id.Index
	}
	w.mu.Unlock()
	w.out.put(frame.AppendID(nil, frame.GivenBack, id))
	w.out.flush()
}

// cancel ends the context of a call if the call runs. Without a journal, the
// call may not have begun yet. In this case, cancel stores the cancellation,
// and begin finds it later.
func (w *worker) cancel(id frame.ID, why frame.Reason) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.ctx != nil && w.id == id && why == frame.Expired:
		w.ctx.limit.expire()
	case w.ctx != nil && w.id == id:
		w.ctx.lazy.Cancel(causeOf(why))
	case w.journal == nil && (int32(id.Seq-w.id.Seq) > 0 || id.Seq == w.id.Seq && id.Index > w.id.Index):
		w.canceled[id] = why
	}
}

func causeOf(why frame.Reason) error {
	if why == frame.Expired {
		return context.DeadlineExceeded
	}
	return concert.ErrCanceled
}

// forget deletes what cancel and giveBack have stored for earlier frames.
func (w *worker) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.DeleteFunc(w.canceled, func(id frame.ID, _ frame.Reason) bool { return int32(id.Seq-w.head.Seq) < 0 })
	maps.DeleteFunc(w.givenBack, func(seq, _ uint32) bool { return int32(seq-w.head.Seq) < 0 })
}
