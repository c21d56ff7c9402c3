package executor

import (
	"context"
	"math"
	"slices"
	"time"

	"concert/internal/values"
)

// This file implements Task.Claim for a Map, and batches of its items. See also
// map_encode.go.

// remoteItems contains the items of a Map that one Task.Claim has claimed for a
// worker. It implements remote.
type remoteItems[In, Out any] struct {
	m     *mapRun[In, Out]
	task  *Task // task of the runner; has the observer
	codec Codec // nil unless the function is declared
	items []remoteItem[In, Out]
}

// remoteItem is small, because a Map of small calls allocates many of them.
type remoteItem[In, Out any] struct {
	item     *item[In, Out]
	number   int64     // the index of the input; it never changes, so other goroutines may read it
	observed *observed // for the observer; nil without an observer
	status   uint8     // pending --> running --> finished, or pending --> finished
}

// observed is what events say about an item.
type observed struct {
	number uint64 // number of the call
	input  *Input
}

func newRemoteItem[In, Out any](it *item[In, Out], index int64) remoteItem[In, Out] {
	return remoteItem[In, Out]{item: it, number: index, status: uint8(pending)}
}

func (x *remoteItem[In, Out]) index() int64   { return x.number }
func (x *remoteItem[In, Out]) state() uint64  { return uint64(x.status) }
func (x *remoteItem[In, Out]) move(to uint64) { x.status = uint8(to) }

func (r *runner[In, Out]) function(*Task) string {
	return registry.nameOf(valuePointer(r.m.fn), r.m.id.code)
}

// claim returns unclaimed items as a batch. If no item is left, the runner
// parks. The larger the parameter most is, the more inputs the feeder takes
// ahead of the results. If user code may encode an item, or the item is large,
// it is encoded on another goroutine, and a later claim returns it. All items
// of a batch have the same handles of shared values: see Batch.SharedClosed.
func (r *runner[In, Out]) claim(t *Task, most, size int) (batch *Batch, again bool) {
	if !t.move(pending, running) {
		return nil, false
	}
	m := r.m
	m.fitRemoteWindow(most)
	var always, depends bool
	f, missing := registry.find(valuePointer(m.fn), m.id.code)
	if missing == nil {
		if isSimple[In]() && !m.large.Load() {
			return r.claimSimple(t, f, most, size)
		}
		always, depends = methodsOf[In](f.codec)
	}
	var b *remoteItems[In, Out]
	var buf []byte
	var used []any // the handles in the argument of the current item
	w := values.Work{Small: true, To: t.group, Used: &used}
	for bytes := 0; (b == nil || len(b.items) < most) && bytes < size && !m.stopped.Load(); {
		var x encodedItem[In, Out]
		encoded := false
		if always || depends || m.large.Load() {
			x, encoded = m.takeEncoded()
		}
		if !encoded {
			it, index := m.buffer.claim(&r.seen)
			if it == nil {
				if r.park(t) {
					return batch, false
				}
				continue
			}
			x.remoteItem = newRemoteItem(it, index)
		}
		m.remoteItems.Add(1)
		if b == nil {
			room := min(m.buffer.ahead(most)+1, most)
			b = &remoteItems[In, Out]{m: m, task: t, codec: codecOf(f), items: make([]remoteItem[In, Out], 0, room)}
			buf = make([]byte, 0, 8*room)
		}
		i := len(b.items)
		b.items = append(b.items, x.remoteItem)
		if !encoded {
			b.observe(i, TaskSubmitted, -1, nil)
			in := &x.item.in
			err, async := missing, always || depends && holdsMethods(f.codec, *in)
			if err == nil && !async {
				used = nil
				x.arg, buf, err = encodeArg(w, buf, f, *in)
				if x.shared = used; isLarge(err) {
					m.large.Store(true)
					async = true
				}
			}
			if async {
				x.remoteItem = b.items[i]
				b.items = b.items[:i]
				m.encodeAsync(t, f, b.alone(x.remoteItem), x)
				continue
			}
			var zero In
			*in = zero
			if err != nil {
				b.settle(i, -1, Encoded{}, err)
				b.items = b.items[:i]
				continue
			}
		}
		if batch != nil && !slices.Equal(x.shared, batch.shared) {
			x.remoteItem = b.items[i]
			b.items = b.items[:i]
			m.postpone(x)
			break
		}
		if batch == nil {
			batch = &Batch{Name: f.name, Args: make([]Encoded, 0, cap(b.items)), job: b, shared: x.shared}
		}
		batch.Args = append(batch.Args, x.arg)
		bytes += len(x.arg.Bytes)
		m.args.note(len(x.arg.Bytes))
	}
	if m.stopped.Load() {
		r.leave(t, idle)
		return batch, false
	}
	t.move(running, pending)
	return batch, true
}

// claimSimple does the same as claim, for inputs that encodeSimple encodes. It
// claims several items in one step. If their arguments have more bytes than the
// parameter size, it leaves the last items to later claims.
func (r *runner[In, Out]) claimSimple(t *Task, f *Function, most, size int) (batch *Batch, again bool) {
	m := r.m
	perItem := 0 // bytes of buf
	if isScalar[In]() {
		perItem = scalarSize
		most = min(most, max(1, size/scalarSize))
	}
	var b *remoteItems[In, Out]
	var buf []byte
	bytes, largest, fit := 0, 0, 0 // fit is the number of items that are within the size
	for (b == nil || len(b.items) < most) && bytes < size && !m.stopped.Load() {
		have := 0
		if b != nil {
			have = len(b.items)
		}
		items, index := m.buffer.claimSome(&r.seen, most-have)
		if len(items) == 0 {
			if r.park(t) {
				return batch, false
			}
			continue
		}
		m.remoteItems.Add(int64(len(items)))
		if b == nil {
			room := min(m.buffer.ahead(most)+len(items), most)
			b = &remoteItems[In, Out]{m: m, task: t, codec: codecOf(f), items: make([]remoteItem[In, Out], 0, room)}
			batch = &Batch{Name: f.name, Args: make([]Encoded, 0, room), job: b}
			buf = make([]byte, 0, perItem*room)
		}
		for i := range items {
			b.items = append(b.items, newRemoteItem(&items[i], index+int64(i)))
			b.observe(have+i, TaskSubmitted, -1, nil)
			var arg Encoded
			arg, buf, _ = encodeSimple(buf, items[i].in)
			if perItem == 0 {
				var zero In
				items[i].in = zero
			}
			batch.Args = append(batch.Args, arg)
			if bytes < size {
				fit++
			}
			bytes += len(arg.Bytes)
			largest = max(largest, len(arg.Bytes))
		}
		m.args.note(largest)
	}
	if b != nil && fit < len(b.items) {
		var rest []encodedItem[In, Out]
		for i := fit; i < len(b.items); i++ {
			rest = append(rest, encodedItem[In, Out]{remoteItem: b.items[i], arg: batch.Args[i]})
		}
		b.items, batch.Args = b.items[:fit], batch.Args[:fit]
		m.postpone(rest...)
	}
	if m.stopped.Load() {
		r.leave(t, idle)
		return batch, false
	}
	t.move(running, pending)
	return batch, true
}

func (r *remoteItems[In, Out]) of() *Task { return nil }

func (r *remoteItems[In, Out]) context() context.Context { return r.m.ctx }

func (r *remoteItems[In, Out]) parent() context.Context { return r.m.ctx }

func (r *remoteItems[In, Out]) cancel(cause error) bool {
	r.m.interrupt(cause)
	return false
}

func (r *remoteItems[In, Out]) index(i int) int64 { return r.items[i].index() }

func (r *remoteItems[In, Out]) input(i int) *Input { return r.m.input(r.items[i].index()) }

func (r *remoteItems[In, Out]) drop(i int, cause error) {
	r.settle(i, -1, Encoded{}, &neverStarted{cause})
}

func (r *remoteItems[In, Out]) start(i, worker int) bool {
	it := &r.items[i]
	if r.m.stopped.Load() || it.state() != pending {
		return false
	}
	it.move(running)
	r.observe(i, TaskStarted, worker, nil)
	return true
}

func (r *remoteItems[In, Out]) progress(i, worker int, done, total int64) {
	if o, _ := r.task.observer(); o != nil && r.items[i].state() == running {
		seen := r.items[i].observed
		o.callIsolated(Event{Kind: TaskProgress, Task: seen.number, Name: r.task.Name(), Input: seen.input, Worker: worker, Time: time.Now(), Done: done, Total: total})
	}
}

func (r *remoteItems[In, Out]) settle(i, worker int, result Encoded, err error) {
	it := &r.items[i]
	if it.state() == finished {
		return
	}
	it.move(finished)
	item := it.item
	it.item = nil // the batch may live as long as its slowest call
	r.m.results.note(len(result.Bytes))
	if err == nil {
		if out, ok := decodeSimple[Out](result); ok {
			r.finish(i, worker, item, out, nil)
			return
		}
	}
	if err == nil && !isMappedValue[Out](result) && decodeRunsUserCode[Out](r.codec) {
		r.decodeAsync(i, worker, item, result)
		return
	}
	out, err := decodeResult[Out](small, r.task.fn, r.codec, result, err)
	if isLarge(err) {
		r.decodeAsync(i, worker, item, result)
		return
	}
	r.finish(i, worker, item, out, toCause(r.m.ctx, r.m.caller, err))
}

func (r *remoteItems[In, Out]) mapsResults() bool { return isMappedResult[Out]() }

func (r *remoteItems[In, Out]) settleMapped(i, worker int, result Encoded, release func()) {
	it := &r.items[i]
	if it.state() == finished {
		release()
		return
	}
	it.move(finished)
	item := it.item
	it.item = nil // the batch may live as long as its slowest call
	r.m.results.note(len(result.Bytes))
	out, err := decodeMapped[Out](r.task.fn, r.codec, result, release)
	r.finish(i, worker, item, out, toCause(r.m.ctx, r.m.caller, err))
}

// settleList implements Batch.SettleList. It wakes the consumer once for all
// items.
func (r *remoteItems[In, Out]) settleList(first, worker int, results List) {
	m := r.m
	o, _ := r.task.observer()
	onlySimple := isSimple[Out]() || decodeRunsUserCode[Out](r.codec)
	settled, largest := 0, 0
	lowest, highest := int64(math.MaxInt64), int64(-1) // the indexes of these items, which may be in any order: see takeEncoded
	for i := first; results.Len() > 0; i++ {
		result := results.Next()
		it := &r.items[i]
		if o == nil && it.state() != finished {
			out, ok := decodeSimple[Out](result)
			if !ok && !onlySimple {
				var err error
				out, err = decodeResult[Out](small, r.task.fn, r.codec, result, nil)
				ok = err == nil
			}
			if ok {
				item, index := it.item, it.index()
				it.move(finished)
				it.item = nil // the batch may live as long as its slowest call
				item.out = out
				m.buffer.markDone(item, index, m.ordered)
				lowest, highest = min(lowest, index), max(highest, index)
				largest = max(largest, len(result.Bytes))
				settled++
				continue
			}
		}
		if it.state() == pending && !r.start(i, worker) {
			r.settle(i, -1, result, nil) // the Map has ended before the item started
		} else {
			r.settle(i, worker, result, nil)
		}
	}
	m.results.note(largest)
	if settled == 0 {
		return
	}
	needed := m.needed.Load()
	if m.remoteItems.Add(int64(-settled)) == 0 || !m.ordered || lowest <= needed && needed <= highest {
		m.wakeConsumer()
	}
}

// finish passes the outcome of an item to the consumer.
func (r *remoteItems[In, Out]) finish(i, worker int, item *item[In, Out], out Out, err error) {
	m := r.m
	if err != nil {
		err = withInput(err, func() *Input { return r.input(i) })
	}
	item.out, item.err = out, err
	r.observe(i, TaskFinished, worker, err)
	m.buffer.markDone(item, r.index(i), m.ordered)
	if m.remoteItems.Add(-1) == 0 || !m.ordered || m.needed.Load() == r.items[i].index() {
		m.wakeConsumer()
	}
}

func (r *remoteItems[In, Out]) observe(i int, kind EventKind, worker int, err error) {
	o, _ := r.task.observer()
	if o == nil {
		return
	}
	it := &r.items[i]
	if it.observed == nil {
		it.observed = &observed{lastNumber.Add(1), r.input(i)}
	}
	o.callIsolated(Event{Kind: kind, Task: it.observed.number, Name: it.observed.input.Name, Input: it.observed.input, Worker: worker, Time: time.Now(), Err: err})
}

func codecOf(f *Function) Codec {
	if f == nil {
		return nil
	}
	return f.codec
}
