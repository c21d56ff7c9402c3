package client

import (
	"errors"
	"fmt"
	"time"

	"concert/cluster/internal/jet"
	"concert/cluster/internal/wire"
	"concert/executor"
)

// findKept settles a call with the result that is stored for its id. If
// there is no such result, findKept calls the function send. While the
// servers do not answer, findKept repeats the request until the call ends.
//
// First, findKept ensures that a consumer receives new results. Then it reads
// the stored result. If the result is stored after this read, the consumer
// receives it.
func (e *Executor) findKept(c *call, send func(*call)) {
	for !e.hasEnded(c) {
		err := e.consumeKept()
		found := false
		if err == nil {
			found, err = e.lookUpKept(c)
		}
		switch {
		case found:
			return
		case err == nil:
			send(c)
			return
		case jet.Permanent(err) || errors.Is(err, errDamaged):
			e.settle(c, -1, executor.Encoded{}, fmt.Errorf("cluster: looking for the result of an earlier run: %w", err))
			return
		}
		select {
		case <-time.After(jet.RetryDelay):
		case <-e.ctx.Done():
			return
		}
	}
}

// consumeKept creates the consumer of results of tasks with ids, once.
func (e *Executor) consumeKept() error {
	e.keptMu.Lock()
	defer e.keptMu.Unlock()
	if e.consumesKept {
		return nil
	}
	if err := e.consumeResults(e.ctx, wire.KeptStream); err != nil {
		return err
	}
	e.consumesKept = true
	return nil
}

// errDamaged is wrapped by the error of a kept result that cannot be decoded.
// findKept treats it as permanent.
var errDamaged = errors.New("a worker stored a damaged result")

// lookUpKept settles a call with the result that is stored for its id, and
// reports whether there is such a result.
func (e *Executor) lookUpKept(c *call) (bool, error) {
	msg, err := e.conn.LastMessage(e.ctx, wire.KeptStream, wire.ResultSubject(c.id), 0)
	if errors.Is(err, jet.ErrAbsent) {
		return false, nil
	}
	var o wire.Outcome
	if err == nil {
		if o, err = wire.DecodeOutcome(msg.Data); err != nil {
			err = fmt.Errorf("%w: %w", errDamaged, err)
		} else if o.ID != c.id {
			err = fmt.Errorf("%w: the result has the id of another task", errDamaged)
		}
	}
	var v executor.Encoded
	if err == nil {
		v, err = e.conn.Download(e.ctx, e.client, o.Value, wire.IsResultName)
	}
	if err != nil {
		return false, err
	}
	e.complete(c, &o, v)
	return true, nil
}
