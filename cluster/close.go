package cluster

import (
	"context"
	"maps"
	"slices"
	"time"

	"concert"
	"concert/cluster/internal/wire"
)

// Close implements concert.Executor: it waits until all accepted tasks have
// settled, however long that takes.
func (e *Executor) Close() error {
	e.made()
	e.refuse()
	<-e.ended
	e.release()
	return nil
}

// Shutdown implements concert.Executor. It also cancels the remaining tasks in
// the cluster.
func (e *Executor) Shutdown(ctx context.Context) error {
	e.made()
	e.refuse()
	select {
	case <-e.ended:
		e.release()
		return nil
	default:
	}
	select {
	case <-e.ended:
		e.release()
		return nil
	case <-ctx.Done():
	}
	failure := &concert.ShutdownError{Cause: context.Cause(ctx)}
	// Steps: 1. what is being claimed is canceled, and what waits, 2. what has
	// been sent, until then or meanwhile.
	e.mu.Lock()
	tasks := slices.Collect(maps.Keys(e.claims))
	for _, l := range e.lanes {
		tasks = append(tasks, l.queue...)
	}
	sent := map[*subscriber]bool{}
	e.collectLocked(sent)
	e.hurried = true
	e.mu.Unlock()
	for _, t := range tasks {
		if t.Cancel(failure.Cause) {
			failure.Canceled++
		}
	}
	failure.Canceled += e.group.CancelUserCode(failure.Cause)
	e.mu.Lock()
	e.collectLocked(sent)
	e.mu.Unlock()
	for s := range sent {
		s.batch.Cancel(failure.Cause)
		e.leave(s)
	}
	select {
	case <-e.ended:
	case <-time.After(e.opts.Grace):
	}
	// What goes on settles when it ends, and then there is nothing left.
	defer func() { go e.Close() }()
	failure.Running = e.group.UserCode()
	for s := range sent {
		s.mu.Lock()
		switch {
		case s.settled && s.worker < 0:
			failure.Canceled++
		case !s.settled:
			failure.Running = append(failure.Running, s.batch.Name)
		}
		s.mu.Unlock()
	}
	return failure
}

// collectLocked adds the subscribers of all calls to a set. The caller holds
// mu.
func (e *Executor) collectLocked(to map[*subscriber]bool) {
	for _, c := range e.calls {
		for _, s := range c.subscribers {
			to[s] = true
		}
	}
}

// refuse lets no more tasks in.
func (e *Executor) refuse() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	for _, l := range e.lanes {
		for _, w := range l.outside {
			close(w.in)
		}
		l.outside = nil
	}
	e.checkEnd()
}

// checkEnd notices that all that was accepted has settled. The caller holds mu.
func (e *Executor) checkEnd() {
	if e.closed && !e.over && e.waiting == 0 && e.unsettled == 0 && len(e.claims) == 0 && len(e.group.UserCode()) == 0 {
		e.over = true
		close(e.ended)
	}
}

// release ends the connection, once.
func (e *Executor) release() {
	e.once.Do(func() {
		e.stop()
		e.running.Wait()
		streams := []string{wire.ResultStream}
		if e.keeps {
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
