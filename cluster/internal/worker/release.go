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

// The servers count how often they deliver a task. A task whose workers are
// lost again and again must be abandoned at some time. But a delivery does not
// count if the worker has released the task because it stopped:
//
//	releaseUncounted:            1. store the count  2. release the task
//	accept, in another worker:   3. read the count
//
// If step 1 fails, the delivery counts as a loss. If step 3 fails for a minute,
// all deliveries count.

// releaseReadTime bounds the attempts to read the count. The task is held in
// the meantime.
const releaseReadTime = time.Minute

// releaseUncounted releases a task, and the delivery does not count as an
// attempt.
func (w *worker) releaseUncounted(d *heldTask) {
	w.conn.Background.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), jet.RequestTimeout) // the context of tasks has ended
		defer cancel()
		if _, err := w.conn.JS.Publish(ctx, wire.ReleaseSubject(w.setName, d.position.Sequence, d.position.Time), []byte(strconv.Itoa(d.releases+1))); err != nil {
			w.opts.Notice(fmt.Sprintf("passed a task of %v on to another worker; this counts as an attempt, because the servers could not store that it should not: %v", d, err))
		}
		w.giveBack(d)
	})
}

// readReleases reads how often workers have released a task, and corrects its
// number of attempts. It reports false if the worker drains in the meantime.
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
