package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"concert"
	"concert/cluster"
	"concert/cmd/concert/internal/web"
	"concert/dashboard"
	"concert/internal/printable"
)

// live shows the status of a cluster on a live page: a Source of package
// dashboard. Dead letters are its failures.
type live struct {
	in   *cluster.Inspector
	feed dashboard.Feed // has the observers, which receive new dead letters

	mu      sync.Mutex
	stats   concert.Stats        // guarded by mu
	tables  []dashboard.Table    // guarded by mu
	ended   map[string][2]int64  // guarded by mu: finished and failed tasks of each worker that was ever seen, by its ID
	letters []cluster.DeadLetter // guarded by mu: the last ones, in the order of their numbers
	next    uint64               // guarded by mu: the lowest number of a dead letter that was not seen
}

// serveStatus shows the status on a live page until Ctrl-C.
func serveStatus(ctx context.Context, in *cluster.Inspector, flag *web.Flag, errOut io.Writer) error {
	l := &live{in: in, ended: map[string][2]int64{}}
	page, err := flag.Serve("status", dashboard.Options{
		Title:    "concert status",
		OnReplay: l.replay,
	}, errOut)
	if err != nil {
		return err
	}
	defer page.Close()
	page.Add("cluster", l)
	for {
		err := l.look(ctx)
		if err != nil && ctx.Err() == nil { // a server that is started again answers later
			fmt.Fprintf(errOut, "concert status: %s\n", printable.Text(err.Error()))
		}
		select {
		case <-time.After(statusPeriod):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// replay runs the task of a dead letter again.
func (l *live) replay(ctx context.Context, t dashboard.Task) error {
	if err := l.in.Replay(ctx, t.ID); err != nil {
		return err
	}
	l.drop(t.ID)
	return nil
}

// drop removes a dead letter. A page that opens later does not receive it.
func (l *live) drop(number uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next = max(l.next, number+1)
	l.letters = slices.DeleteFunc(l.letters, func(d cluster.DeadLetter) bool { return d.Number == number })
}

// look reads the status of the cluster.
func (l *live) look(ctx context.Context) error {
	s, err := statusOf(ctx, l.in, statusTimeout)
	if err != nil {
		return err
	}
	l.mu.Lock()
	next := max(1, l.next)
	l.mu.Unlock()
	var letters []cluster.DeadLetter
	if s.Dead > 0 {
		if letters, err = l.in.DeadLetters(ctx, next, letterBatch); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.takeLocked(&s, letters)
	return nil
}

// maxLetters is the maximum number of dead letters for a page that opens.
// Together with a batch of new dead letters, they must be fewer than 2500:
// after 2500 of them, package dashboard would attach its observer again, and
// would receive them twice.
const maxLetters = 1000

// takeLocked updates the page with a status, and with the new dead letters.
func (l *live) takeLocked(s *status, letters []cluster.DeadLetter) {
	st := concert.Stats{Workers: len(s.Workers)}
	for _, w := range s.Workers {
		st.Running += w.Running
		if w.Running > 0 {
			st.Busy++
		}
		l.ended[w.ID] = [2]int64{w.Finished, w.Failed}
	}
	for _, n := range l.ended {
		st.Done += n[0]
		st.Failed.Errors += n[1]
	}
	for _, q := range s.Queues {
		st.Queued += int(q.Tasks)
	}
	st.Queued = max(0, st.Queued-st.Running)
	st.Submitted = st.Done + int64(st.Running) + int64(st.Queued)
	l.stats, l.tables = st, s.tables()
	for _, d := range letters {
		l.next = max(l.next, d.Number+1)
		l.letters = append(l.letters, d)
		l.feed.Observe(letterEvent(d))
	}
	if n := len(l.letters) - maxLetters; n > 0 {
		l.letters = slices.Delete(l.letters, 0, n)
	}
}

// letterEvent returns the event by which a page receives a dead letter.
func letterEvent(d cluster.DeadLetter) concert.Event {
	name := cmp.Or(functionName(d.Function), "no task")
	return concert.Event{
		Kind: concert.TaskFinished, Task: d.Number, Name: name, Worker: -1, Time: d.At,
		Input: &concert.Input{Name: name, Index: d.Index, Label: d.Label}, Err: errors.New(d.Reason),
	}
}

// Stats implements dashboard.Source.
func (l *live) Stats() concert.Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stats
}

// Watch calls the observer with the dead letters.
func (l *live) Watch(o concert.Observer) (stop func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range l.letters {
		o(letterEvent(d))
	}
	return l.feed.Watch(o)
}

// Tables returns the tables of the command as tables of the page.
func (l *live) Tables() []dashboard.Table {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tables
}
