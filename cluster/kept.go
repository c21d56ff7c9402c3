package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"concert"
	"concert/cluster/internal/wire"
)

type idKey struct{}

// WithID returns a context that gives tasks which are submitted with it an id, by which their results are found again: for a
// week, whatever becomes of the program. A Submit of the same function with the same id, by the same client, has the outcome
// that the first one had, or will have, without running it again, unless both are on their way at the same moment; what the
// argument is does not count: all Submits of a function with one such context are the same task, so a loop over arguments needs an id for each. There has to be a worker for the function, as only then tasks leave the program, even if it has nothing to do. Of a Map each input has an id of its own, by the number of the input.
//
//	fut := concert.Submit(cluster.WithID(ctx, "thumbnails of 2026-11-23"), ex, makeThumbnails, day)
//
// A program that was stopped just does the same once more. An error is an outcome like any other; a task that was cancelled has
// none, and runs when it is submitted again.
func WithID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, idKey{}, id)
}

// name returns the id of a call: unique, or what its submitter wants.
func (e *Executor) name(c *call) wire.TaskID {
	if id, ok := c.batch.Parent().Value(idKey{}).(string); ok {
		index := c.batch.Index(c.i)
		if c.batch.Task() != nil {
			index = -1 // of a Submit, which is no Map of one
		}
		return wire.TaskID{Client: e.client, Number: wire.Digest(fmt.Sprintf("%s\x00%d\x00%s", c.lane.function, index, id))}
	}
	return wire.TaskID{Client: e.client, Session: e.session, Number: c.try}
}

// seek settles a call with the result that is already stored for its id. If
// there is none, seek calls send. While the servers do not answer, seek repeats
// the request until the call is canceled.
//
// First, seek ensures that a consumer receives new results. Then it looks up
// the stored result. If a result is stored after that, the consumer receives
// it.
func (e *Executor) seek(c *call, send func(*call)) {
	for {
		err := e.watchKept()
		found := false
		if err == nil {
			found, err = e.lookUp(c)
		}
		switch {
		case found:
			return
		case err == nil:
			send(c)
			return
		case lasts(err):
			e.settle(c, -1, concert.Encoded{}, fmt.Errorf("cluster: looking for the result of an earlier run: %w", err))
			return
		}
		select {
		case <-time.After(postAgain):
		case <-c.batch.Context().Done():
			e.abandon(c)
			return
		case <-e.ctx.Done():
			return
		}
	}
}

// watchKept makes the consumer of results of tasks with ids, once.
func (e *Executor) watchKept() error {
	e.keeping.Lock()
	defer e.keeping.Unlock()
	if e.keeps {
		return nil
	}
	if err := e.receive(e.ctx, wire.KeptStream); err != nil {
		return err
	}
	e.keeps = true
	return nil
}

// lookUp settles a call by what is stored under its id, and reports whether there was something.
func (e *Executor) lookUp(c *call) (bool, error) {
	ctx, cancel := context.WithCancel(e.ctx)
	defer cancel()
	defer context.AfterFunc(c.batch.Context(), cancel)()
	msg, err := e.link.lastOf(ctx, wire.KeptStream, wire.ResultSubject(c.id), 0)
	if errors.Is(err, errAbsent) {
		return false, nil
	}
	var o wire.Outcome
	if err == nil {
		o, err = wire.DecodeOutcome(msg.Data)
	}
	if err == nil && o.ID != c.id {
		err = errors.New("what is stored there is the result of another task")
	}
	var v concert.Encoded
	if err == nil {
		v, err = e.link.fetch(ctx, e.client, o.Value, wire.IsResult)
	}
	if err != nil {
		return false, err
	}
	e.finish(c, &o, v)
	return true, nil
}
