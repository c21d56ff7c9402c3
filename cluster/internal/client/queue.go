package client

import (
	"context"
	"time"

	"concert"
	"concert/cluster/internal/prefetch"
	"concert/executor"
)

// funcQueue is the queue of the tasks of one function. It also has statistics
// of the calls of this function.
//
//	Submit, Map --> funcQueue --Claim--> calls --> the cluster
//
// The client sends as many calls of a function as there are slots in the
// workers that offer the function. If the calls are quick, it sends a few more,
// so that a worker need not wait for the next call. The other tasks stay in the
// queue, and a task that is canceled there never runs. So if another client's
// call needs a slot, it waits for about as long as one call of this function
// takes.
type funcQueue struct {
	function   string
	signature  string              // digest of the function's types
	tasks      *executor.TaskQueue // its mutex is Executor.mu
	meanTime   time.Duration       // moving mean of the run time of a call; 0 before the first call has ended
	limit      int                 // calls are sent in advance only while fewer calls than this number are outstanding
	returned   int                 // calls that have ended since limit was set
	roundTrips time.Duration       // total time from sending these calls to their results
	sent       map[string]int      // number of sent calls, by capability set
	noWorker   bool                // no worker offers the function
	noticed    bool                // Options.Notice was called, because no worker offers the function
}

const (
	minLimit    = 16
	maxLimit    = 1 << 14
	noticeDelay = time.Second // until Options.Notice reports that no worker offers a function
)

// record records the run time of a call, and the time from sending the call to
// receiving its result. If the network is slower than the workers, record
// lowers q.limit, because more calls in advance would only delay other calls.
func (q *funcQueue) record(ran, out time.Duration) {
	q.meanTime = prefetch.Mean(q.meanTime, ran)
	q.returned++
	q.roundTrips += out
	if q.returned < q.limit {
		return
	}
	switch trip := q.roundTrips / time.Duration(q.returned); {
	case trip > 2*prefetch.Time+q.meanTime:
		q.limit = max(minLimit, q.limit*3/4)
	case trip < prefetch.Time+q.meanTime:
		q.limit = min(maxLimit, q.limit*2)
	}
	q.returned, q.roundTrips = 0, 0
}

// Execute implements concert.Executor.
func (e *Executor) Execute(ctx context.Context, t *executor.Task) error {
	function := t.Function() // before Adopt makes the task visible to other goroutines
	e.group.Adopt(t)
	number := ""
	if id, ok := ctx.Value(idKey{}).(string); ok {
		number = numberOfID(function, submitIndex, id)
	}
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return concert.ErrClosed
	}
	if number != "" {
		e.callNumbers[t] = number // before the dispatcher finds the task
	}
	q := e.queueLocked(function)
	e.mu.Unlock()
	err := q.tasks.Push(ctx, e.group, t)
	if err != nil && number != "" {
		e.mu.Lock()
		delete(e.callNumbers, t)
		e.mu.Unlock()
	}
	return err
}

// queueLocked returns the queue of a function.
func (e *Executor) queueLocked(function string) *funcQueue {
	q := e.queues[function]
	if q == nil {
		q = &funcQueue{function: function, tasks: executor.NewTaskQueue(&e.mu, e.opts.Queue, e.notify), signature: e.signature(function), limit: minLimit, sent: map[string]int{}}
		e.queues[function] = q
		e.rotation = append(e.rotation, q)
	}
	return q
}

// Width implements concert.Executor: it returns twice the number of slots of
// all workers, and at least 1.
func (e *Executor) Width() int {
	return max(1, 2*e.members.Slots())
}
