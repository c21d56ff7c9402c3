package executor

import (
	"context"
	"slices"

	"concert/internal/values"
)

// This file encodes and decodes the items of a Map that are large, or that user
// code encodes or decodes: see user_code.go.
//
//	inputs --claim--> encoding, each item on its own goroutine --> encoded --claim--> worker
//
// A runner that finds no encoded item leaves the executor, like a runner that
// finds no input. The goroutine that has encoded an item starts a runner again.
// The Map's window bounds the total number of items in these stages.

// encodedItem is an item that is encoded, or about to be encoded.
type encodedItem[In, Out any] struct {
	remoteItem[In, Out]
	arg    Encoded
	shared []any // as in Batch
}

// alone returns a remoteItems that contains only the item x, with the other
// fields of r.
func (r *remoteItems[In, Out]) alone(x remoteItem[In, Out]) *remoteItems[In, Out] {
	return &remoteItems[In, Out]{m: r.m, task: r.task, codec: r.codec, items: []remoteItem[In, Out]{x}}
}

func (m *mapRun[In, Out]) takeEncoded() (x encodedItem[In, Out], ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.encoded) == 0 {
		return x, false
	}
	x = m.encoded[0]
	m.encoded[0] = encodedItem[In, Out]{}
	m.encoded = m.encoded[1:]
	return x, true
}

// postpone leaves claimed items to later claims, which take them first.
func (m *mapRun[In, Out]) postpone(items ...encodedItem[In, Out]) {
	m.mu.Lock()
	m.encoded = slices.Insert(m.encoded, 0, items...)
	m.mu.Unlock()
	m.large.Store(true)
	m.remoteItems.Add(int64(-len(items)))
}

// dropEncoded drops the items that wait to be claimed. The Map has stopped, and
// no runner is left.
func (m *mapRun[In, Out]) dropEncoded() {
	m.mu.Lock()
	left, runners := m.encoded, m.runners
	m.encoded = nil
	m.mu.Unlock()
	m.remoteItems.Add(int64(len(left)))
	for _, x := range left {
		one := &remoteItems[In, Out]{m: m, task: &runners[0].task, items: []remoteItem[In, Out]{x.remoteItem}}
		one.drop(0, context.Cause(m.ctx))
	}
}

// hasEncoded reports whether an encoded item waits to be claimed.
func (m *mapRun[In, Out]) hasEncoded() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.encoded) > 0
}

// encodeAsync encodes an item on another goroutine, and then adds the item to
// m.encoded. The caller has counted the item in m.remoteItems.
func (m *mapRun[In, Out]) encodeAsync(t *Task, f *Function, one *remoteItems[In, Out], x encodedItem[In, Out]) {
	in := x.item.in
	var zero In
	x.item.in = zero
	fail := func(err error) { one.settle(0, -1, Encoded{}, err) }
	t.group.runUserCode(&userCode{
		name: f.name, ctx: m.ctx, cancel: one.cancel,
		run: func(w values.Work) func() {
			var shared []any
			w.To, w.Used = t.group, &shared
			arg, _, err := encodeArg(w, nil, f, in)
			if err != nil {
				return func() { fail(err) }
			}
			return func() {
				x.arg, x.shared = arg, shared
				m.mu.Lock()
				m.encoded = append(m.encoded, x)
				m.mu.Unlock()
				m.remoteItems.Add(-1) // if m.start fails, the consumer starts a runner
				m.start(noWait)
				m.wakeConsumer()
			}
		},
		fail: func(err error) { fail(argumentFailure(m.ctx, f, err)) },
	})
}

// decodeAsync decodes the result of an item on another goroutine. The caller
// has removed the reference to the item from r.items.
func (r *remoteItems[In, Out]) decodeAsync(i, worker int, item *item[In, Out], result Encoded) {
	result.Bytes = cloned(result.Bytes) // the bytes belong to the executor
	name := r.task.Name()
	r.task.group.runUserCode(&userCode{
		name: name, ctx: r.m.ctx, grace: r.task.group.limits.Grace, cancel: r.cancel,
		run: func(w values.Work) func() {
			out, err := decodeResult[Out](w, r.task.fn, r.codec, result, nil)
			return func() { r.finish(i, worker, item, out, err) }
		},
		fail: func(err error) {
			var none Out
			r.finish(i, worker, item, none, &valueError{"result of ", name, nil, err})
		},
	})
}
