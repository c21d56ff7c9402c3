package client

import (
	"context"
	"maps"
	"slices"

	"concert"
	"concert/cluster/internal/wire"
	"concert/executor"
)

// Close implements concert.Executor: it waits until all accepted tasks have
// settled, however long that takes.
func (e *Executor) Close() error {
	e.closeQueues()
	<-e.allSettled
	e.disconnect()
	return nil
}

// Shutdown implements concert.Executor. It also cancels the remaining tasks in
// the cluster.
func (e *Executor) Shutdown(ctx context.Context) error {
	e.closeQueues()
	var sent map[*subscriber]bool // set when the tasks are canceled
	err := executor.Shutdown(ctx, e.allSettled, e.opts.Grace, func(cause error) (notStarted int) {
		if sent == nil {
			sent, notStarted = e.cancelAll(cause)
		}
		return notStarted
	}, e.group.UserCode)
	failure, ok := err.(*concert.ShutdownError)
	if !ok {
		e.disconnect()
		return err
	}
	// Close waits for the remaining tasks, which settle when they end.
	defer func() { go e.Close() }()
	for s := range sent {
		s.mu.Lock()
		switch {
		case s.settled && s.slotNumber < 0:
			failure.Canceled++
		case !s.settled:
			failure.Running = append(failure.Running, s.batch.Name)
		}
		s.mu.Unlock()
	}
	return failure
}

// cancelAll cancels all tasks. It returns the subscribers of the calls that
// were sent. The second result is the number of the other tasks, which had not
// started.
//
// First it cancels the tasks that are queued or being claimed. Then it cancels
// the calls, including those that were sent in the meantime.
func (e *Executor) cancelAll(cause error) (sent map[*subscriber]bool, notStarted int) {
	e.mu.Lock()
	tasks := slices.Collect(maps.Keys(e.claiming))
	for _, q := range e.queues {
		tasks = append(tasks, q.tasks.TasksLocked()...)
	}
	sent = map[*subscriber]bool{}
	e.collectLocked(sent)
	e.shuttingDown = true
	e.mu.Unlock()
	for _, t := range tasks {
		if t.Cancel(cause) {
			notStarted++
		}
	}
	notStarted += e.group.CancelUserCode(cause)
	e.mu.Lock()
	e.collectLocked(sent)
	e.mu.Unlock()
	for s := range sent {
		s.batch.Cancel(cause)
		e.cancelSubscriber(s)
	}
	return sent, notStarted
}

// collectLocked adds the subscribers of all calls to a set.
func (e *Executor) collectLocked(to map[*subscriber]bool) {
	for _, c := range e.calls {
		for _, s := range c.subscribers {
			to[s] = true
		}
	}
}

// closeQueues makes the executor refuse new tasks, and the tasks of blocked
// submitters.
func (e *Executor) closeQueues() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	for _, q := range e.queues {
		q.tasks.CloseLocked(concert.ErrClosed)
	}
	e.checkSettledLocked()
}

// disconnect ends the session, and closes the connection, once.
func (e *Executor) disconnect() {
	e.once.Do(func() {
		e.stop()
		e.background.Wait()
		e.deleteAllShared()
		streams := []string{wire.ResultStream}
		if e.consumesKept {
			streams = append(streams, wire.KeptStream)
		}
		for _, stream := range streams {
			if err := e.conn.JS.DeleteConsumer(context.Background(), stream, e.session); err != nil {
				e.opts.Notice("could not delete the consumer of results; the servers delete it when it has been idle for a while: " + err.Error())
			}
		}
		e.conn.Close()
	})
}
