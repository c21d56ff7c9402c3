package worker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"concert/cluster/internal/jet"
	"concert/cluster/internal/wire"
)

// The servers count how often a task was delivered, for whatever reason it came
// again. A task of which a worker is lost time and again has to be given up
// some day; one that workers have given back of their own accord, as they were
// to end before it did, has harmed nobody. So these times are counted apart:
//
//	yield: 1. store the count  2. give the task back  -->  take, in another worker: 3. read the count
//
// If 1 fails it counts like a loss. If 3 does for a minute, all count.

// releaseReadTime is how long the servers are asked for the count. The task is
// held meanwhile.
const releaseReadTime = time.Minute

// releaseUncounted gives a task back of the worker's own accord.
func (w *worker) releaseUncounted(d *heldTask) {
	w.conn.Background.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), jet.RequestTimeout) // that of tasks has ended
		defer cancel()
		if _, err := w.conn.JS.Publish(ctx, wire.ReleaseSubject(w.setName, d.position.Sequence, d.position.Time), []byte(strconv.Itoa(d.releases+1))); err != nil {
			w.opts.Notice(fmt.Sprintf("passed a task of %v on to another worker; this counts as an attempt, because the servers could not store that it should not: %v", d, err))
		}
		w.giveBack(d)
	})
}

// readReleases reads how often a task that has come again was given back: these are
// no attempts. It reports false if the worker is to end meanwhile.
func (w *worker) readReleases(d *heldTask) bool {
	ctx, cancel := context.WithTimeout(w.ctx, releaseReadTime)
	defer cancel()
	err := w.conn.RetryTransient(ctx, func(ctx context.Context) error {
		m, err := w.conn.LastMessage(ctx, wire.ReleaseStream, wire.ReleaseSubject(w.setName, d.position.Sequence, d.position.Time), 0)
		if errors.Is(err, jet.ErrAbsent) {
			return nil
		}
		if err == nil {
			n, _ := strconv.Atoi(string(m.Data))
			d.releases = max(0, min(n, d.attempt-1))
		}
		return err
	})
	if w.ctx.Err() != nil {
		return false
	}
	if err != nil {
		w.opts.Notice(fmt.Sprintf("could not read how often workers have passed on a task of %v: all %d deliveries count as attempts: %v", d, d.attempt, err))
	}
	d.attempt -= d.releases
	return true
}
