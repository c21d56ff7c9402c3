package client

import "time"

// reroute handles capability sets that have had no workers for
// WorkerTimeout, for example because the workers run a new version of the
// program. It sends the calls of such a set to workers with another set. It
// does not remove the message for the first set. If a worker runs that task,
// too, only one result counts. The map since contains the capability sets
// without workers. Its values are the times at which reroute first found no
// worker.
func (e *Executor) reroute(since map[string]time.Time) {
	var moved []*call
	e.mu.Lock()
	for c := range e.inflight {
		if e.members.HasWorkers(c) {
			delete(since, c)
		} else if _, known := since[c]; !known {
			since[c] = time.Now()
		}
	}
	for _, c := range e.calls {
		if began, missing := since[c.setName]; !c.published || !missing || time.Since(began) < e.conn.Times.WorkerTimeout {
			continue
		}
		for to := range e.members.Offers(c.queue.function, c.queue.signature) {
			e.setRetryingLocked(c, false)
			e.inflight[c.setName]--
			e.inflight[to]++
			c.queue.sent[c.setName]--
			c.queue.sent[to]++
			c.setName, c.rerouted = to, true
			moved = append(moved, c)
			break
		}
	}
	e.mu.Unlock()
	e.publish(moved...)
}
