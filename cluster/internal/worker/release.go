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

// The servers count the deliveries of a task. A further delivery usually means
// that the worker was lost. So a task with too many deliveries is abandoned.
// But a delivery does not count if its worker has stopped, and has given the
// task back. The steps are:
//
//  1. releaseUncounted stores how many deliveries do not count.
//  2. It gives the task back to the servers.
//  3. Another worker accepts the task, and reads the stored number.
//
// If step 1 fails, the delivery counts. If step 3 fails for a minute, all
// deliveries count.

// releaseReadTime is the maximum time for step 3. The worker that has accepted
// the task does not start it before this step has ended.
const releaseReadTime = time.Minute

// releaseUncounted gives a task back to the servers, so that the delivery to
// this worker does not count as an attempt.
func (w *worker) releaseUncounted(d *heldTask) {
	w.conn.Background.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), jet.RequestTimeout) // not the context of tasks, which has ended
		defer cancel()
		if _, err := w.conn.JS.Publish(ctx, wire.ReleaseSubject(w.setName, d.position.Sequence, d.position.Time), []byte(strconv.Itoa(d.releases+1))); err != nil {
			w.opts.Notice(fmt.Sprintf("returned a task of %v to the servers for another worker. The delivery to this worker counts as an attempt, because the servers could not store that it must not count: %v", d, err))
		}
		w.giveBack(d)
	})
}

// readReleases reads the number of deliveries of a task that do not count,
// and corrects the number of the attempt. It reports false if the worker
// drains and its grace period ends in the meantime.
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
		w.opts.Notice(fmt.Sprintf("could not read how many stopping workers have released a task of %v: all %d deliveries count as attempts: %v", d, d.attempt, err))
	}
	d.attempt -= d.releases
	return true
}
