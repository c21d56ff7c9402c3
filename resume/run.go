package resume

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"runtime"

	"concert"
	"concert/executor"
)

// A run is one Map. Four goroutines and the executor work for it:
//
//	feeder: takes an input and looks for its record
//	  | no record           | record
//	  v                     |
//	executor: calls fn      |
//	  |                     |
//	  v                     v
//	collector: encodes    queue of items, in the order of the inputs
//	the result, adds        ^                  |
//	it to a batch           |                  v
//	  |                     |                consumer (the loop): yields the
//	  v                     |                first item when it is ready
//	recorder: waits until --+
//	the batch is durable
//
// The collector ranges over a Map of package executor, and the feeder belongs
// to this Map. The collector and the recorder are two goroutines, so that the
// next batch grows while the disk writes the last one.
type run[In, Out any] struct {
	j      *Journal
	rec    *executor.Recording[In, Out]
	caller context.Context // the context given to Map
	ctx    context.Context // ends with caller, and when the loop ends
	cancel context.CancelFunc
	queue  queue[Out]
	keys   Keys            // used by the feeder
	prefix []byte          // the first part of the keys of all inputs: fn and its type
	info   json.RawMessage // the information of calls that succeed
	synced chan pending    // from the collector to the recorder
	// ended is closed when the collector and the recorder have ended. The
	// collector sets the next fields before this.
	ended    chan struct{}
	last     error // the error that ends the sequence, or nil
	panicked any   // the argument of a panic in the inputs, or nil
	goexit   bool  // the inputs called runtime.Goexit
}

// pending is a result that is being recorded.
type pending struct {
	index   int64
	staged  *staged
	failure error // the error of the call; nil if it succeeded
}

// callInfo is the information of a record of Map, for people who read the
// journal.
type callInfo struct {
	Function string `json:"function"`
	Error    string `json:"error,omitempty"`
}

func newRun[In, Out any](ctx context.Context, ex concert.Executor, j *Journal, rec *executor.Recording[In, Out]) *run[In, Out] {
	r := &run[In, Out]{
		j: j, rec: rec, caller: ctx, queue: newQueue[Out](ex.Width()),
		synced: make(chan pending, 256), ended: make(chan struct{}),
	}
	// Only the consumer releases a lock that the caller holds.
	r.ctx, r.cancel = context.WithCancel(executor.WithReleaser(ctx, nil))
	k := NewKey([]byte(rec.Name()), []byte(rec.Results()))
	r.prefix = k[:]
	r.info, _ = json.Marshal(callInfo{Function: rec.Name()}) // a string can always be encoded
	return r
}

// start starts the goroutines.
func (r *run[In, Out]) start(ex concert.Executor, fn func(context.Context, In) (Out, error), inputs iter.Seq[In]) {
	results := executor.MapIndexed(r.ctx, ex, fn, r.feed(inputs))
	go r.collect(results)
	go r.recordAll()
}

// feed is the sequence of the inputs without a record, with their indexes.
func (r *run[In, Out]) feed(inputs iter.Seq[In]) iter.Seq2[int64, In] {
	return func(yield func(int64, In) bool) {
		index := int64(0)
		for in := range inputs {
			it := r.lookUp(index, in)
			if !r.queue.add(r.ctx, it) || !it.ready && !yield(index, in) {
				return
			}
			index++
		}
	}
}

// lookUp returns the item of an input. The item is ready if there is a record.
func (r *run[In, Out]) lookUp(index int64, in In) (it item[Out]) {
	e, err := r.rec.Input(index, in)
	if err != nil {
		return item[Out]{ready: true, err: err}
	}
	it.key = r.keys.Next(NewKey(r.prefix, []byte{e.Kind}, e.Bytes))
	entry, ok := r.j.Find(it.key)
	// The data are checked here, because now fn can still be called if they
	// are damaged.
	if ok && (entry.OK || r.j.opts.KeepFailed) && entry.Len() == 1 && entry.Check() == nil {
		it.ready, it.found, it.entry = true, true, entry
	}
	return it
}

// collect receives the results of the calls, and adds them to batches.
func (r *run[In, Out]) collect(results func(func(int64, Out, error) bool)) {
	returned := false
	defer func() {
		if !returned {
			r.panicked = recover()
			r.goexit = r.panicked == nil
		}
		close(r.synced)
	}()
	results(func(index int64, out Out, err error) bool {
		if index < 0 {
			r.last = err
		} else if s, recordErr := r.record(index, out, err); s != nil {
			r.synced <- pending{index, s, err}
		} else {
			r.queue.hold(index, out, 0)
			r.queue.finish(index, r.failure(index, err, recordErr))
		}
		return true
	})
	returned = true
}

// record adds the outcome of a call to a batch. It returns nil if the outcome
// is not recorded.
func (r *run[In, Out]) record(index int64, out Out, failure error) (_ *staged, err error) {
	e, info := executor.Encoded{}, r.info
	if failure == nil {
		if e, err = r.rec.Result(r.ctx, out); err != nil {
			return nil, err
		}
	} else {
		e.Bytes = executor.EncodeError(failure)
		if !r.counts(executor.DecodeError(e.Bytes)) {
			return nil, nil
		}
		text := executor.ErrorText(failure)
		if info, err = json.Marshal(callInfo{r.rec.Name(), text[:min(len(text), maxText)]}); err != nil {
			return nil, err
		}
	}
	s := &staged{key: r.queue.key(index)}
	rec := record{key: s.key, ok: failure == nil, info: info}
	var p part
	if 1+len(e.Bytes) <= maxInline {
		p.inline = append([]byte{e.Kind}, e.Bytes...)
	} else if p, err = r.j.storeLarge(io.MultiReader(bytes.NewReader([]byte{e.Kind}), bytes.NewReader(e.Bytes)), s); err != nil {
		return nil, err
	}
	rec.data = []part{p}
	if err := r.j.add(s, rec); err != nil {
		return nil, err
	}
	r.queue.hold(index, out, len(e.Bytes))
	return s, nil
}

// maxText is the maximum length of the text of an error in the information of a
// record. The data of the record have the whole error.
const maxText = 1 << 10

// counts reports whether the error of a call is recorded. The error must have
// been decoded, because methods of other errors may panic or never return.
func (r *run[In, Out]) counts(err error) bool {
	if r.ctx.Err() != nil {
		return false
	}
	for _, e := range []error{context.Canceled, concert.ErrClosed, concert.ErrNotRegistered, concert.ErrElsewhere} {
		if errors.Is(err, e) {
			return false
		}
	}
	return true
}

// recordAll waits until results are durable, and makes their items ready.
func (r *run[In, Out]) recordAll() {
	defer close(r.ended)
	for p := range r.synced {
		err := p.staged.wait()
		r.queue.finish(p.index, r.failure(p.index, p.failure, err))
	}
}

// failure returns the error to yield for a call: its own error, and the error
// of the attempt to record it.
func (r *run[In, Out]) failure(index int64, err, recordErr error) error {
	if recordErr == nil {
		return err
	}
	recordErr = &recordError{&executor.Input{Name: r.rec.Name(), Index: index}, r.j.path, recordErr}
	if err == nil {
		return recordErr
	}
	return errors.Join(err, recordErr)
}

// recordError is the error of a call whose outcome was not recorded.
type recordError struct {
	in   *executor.Input
	path string
	err  error
}

// Error names the input, the journal and the reason.
func (e *recordError) Error() string {
	return fmt.Sprintf("resume: record %s in %s: %v", e.in, e.path, e.err)
}

// Unwrap returns the reason.
func (e *recordError) Unwrap() error { return e.err }

// TaskInput returns the input, for concert.InputOf.
func (e *recordError) TaskInput() *executor.Input { return e.in }

// consume yields the outcomes, and then the error that concerns the whole Map,
// if there is one.
func (r *run[In, Out]) consume(yield func(Out, error) bool) {
	over := false
	for {
		it, index, ok := r.queue.pop()
		if ok {
			if !yield(r.outcome(it, index)) {
				return
			}
			continue
		}
		if over || r.caller.Err() != nil {
			break
		}
		// The select waits for events after which the first item may be ready.
		executor.Release(r.caller, func() {
			select {
			case <-r.queue.wake:
			case <-r.ended:
				over = true
			case <-r.caller.Done():
			}
		})
	}
	var zero Out
	switch {
	case r.caller.Err() != nil:
		yield(zero, context.Cause(r.caller))
	case r.panicked != nil:
		panic(r.panicked)
	case r.goexit:
		runtime.Goexit()
	case r.last != nil:
		yield(zero, r.last)
	}
}

// outcome returns the outcome of an item that is ready.
func (r *run[In, Out]) outcome(it item[Out], index int64) (out Out, err error) {
	if !it.found {
		return it.out, it.err
	}
	if it.entry.j == nil {
		var ok bool
		if it.entry, ok = r.j.Find(it.key); !ok {
			return out, r.failure(index, nil, errors.New("the record cannot be read again"))
		}
	}
	b := make([]byte, it.entry.Size(0))
	if _, err := io.ReadFull(it.entry.Data(0), b); err != nil {
		return out, err
	}
	if len(b) == 0 {
		return out, r.failure(index, nil, errLine)
	}
	if !it.entry.OK {
		return out, r.rec.Failed(index, b[1:])
	}
	return r.rec.Decode(r.caller, executor.Encoded{Kind: b[0], Bytes: b[1:]})
}

// stop ends all goroutines. It returns when the running calls have returned and
// the results of finished calls are recorded.
func (r *run[In, Out]) stop() {
	r.cancel()
	executor.Release(r.caller, func() { <-r.ended })
}
