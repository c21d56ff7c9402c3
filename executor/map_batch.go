package executor

import (
	"context"
	"math"
	"time"
)

// This file implements the batches of a Map. See map_claim.go for the claims.

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
	observed *observed // for the observers; nil if there were none when the item was claimed and started
	status   uint8     // pending --> running --> finished, or pending --> finished
	began    bool      // whether the item has been running
}

// observed has the data of an item that its events contain.
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

func (r *remoteItems[In, Out]) of() *Task { return nil }

func (r *remoteItems[In, Out]) context() context.Context { return r.m.ctx }

func (r *remoteItems[In, Out]) parent() context.Context { return r.m.ctx }

func (r *remoteItems[In, Out]) trace() string { return r.m.trace }

func (r *remoteItems[In, Out]) callTrace(i int) string {
	if seen := r.items[i].observed; seen != nil {
		// No method of the submitter's context may be called here.
		if trace := inject(background, seen.number); trace != "" {
			return trace
		}
	}
	return r.m.trace
}

func (r *remoteItems[In, Out]) cancel(cause error) bool {
	r.m.interrupt(cause)
	return false
}

func (r *remoteItems[In, Out]) index(i int) int64 { return r.items[i].index() }

func (r *remoteItems[In, Out]) input(i int) *Input { return r.m.input(r.items[i].index()) }

func (r *remoteItems[In, Out]) ran(worker, n int, took time.Duration) {
	r.task.group.stats.ranItems(worker, int64(took), n)
}

func (r *remoteItems[In, Out]) drop(i int, cause error) {
	r.settle(i, -1, Encoded{}, &neverStarted{cause})
}

func (r *remoteItems[In, Out]) start(i, worker int) bool {
	it := &r.items[i]
	if r.m.stopped.Load() || it.state() != pending {
		return false
	}
	it.move(running)
	it.began = true
	r.task.group.stats.shard(worker).started.Add(1)
	r.observe(i, TaskStarted, worker, nil)
	return true
}

func (r *remoteItems[In, Out]) progress(i, worker int, done, total int64) {
	list, _ := r.task.observers()
	if seen := r.items[i].observed; list != nil && seen != nil && r.items[i].state() == running {
		list.callIsolated(Event{Kind: TaskProgress, Task: seen.number, Name: r.task.Name(), Input: seen.input, Worker: worker, Time: time.Now(), Done: done, Total: total, Context: r.m.ctx})
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
	if err == nil && resultRunsUserCode[Out](r.codec, result) {
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
	list, _ := r.task.observers()
	onlySimple := isSimple[Out]() || decodeRunsUserCode[Out](r.codec)
	flat := flatOf[Out](r.codec)
	settled, ended, largest := 0, 0, 0
	lowest, highest := int64(math.MaxInt64), int64(-1) // the indexes of these items, which may be in any order: see takeEncoded
	for i := first; results.Len() > 0; i++ {
		result := results.Next()
		it := &r.items[i]
		if list == nil && it.state() != finished {
			item, index := it.item, it.index()
			ok := flat != nil && result.Foreign() && flat.Decode(result.Bytes, &item.out)
			if !ok {
				item.out, ok = decodeSimple[Out](result)
			}
			if !ok && !onlySimple {
				var err error
				item.out, err = decodeResult[Out](small, r.task.fn, r.codec, result, nil)
				ok = err == nil
			}
			if ok {
				it.move(finished)
				it.item = nil // the batch may live as long as its slowest call
				m.buffer.markDone(item, index, m.ordered)
				lowest, highest = min(lowest, index), max(highest, index)
				largest = max(largest, len(result.Bytes))
				settled++
				if it.began {
					ended++
				}
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
	h := r.task.group.stats.shard(worker)
	h.settled.Add(int64(settled))
	if ended > 0 {
		h.ended.Add(int64(ended))
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
	if err != nil {
		r.task.countFailed(m.ctx, worker >= 0, err)
	}
	h := r.task.group.stats.shard(worker)
	h.settled.Add(1)
	if r.items[i].began {
		h.ended.Add(1)
	}
	r.observe(i, TaskFinished, worker, err)
	m.buffer.markDone(item, r.index(i), m.ordered)
	if m.remoteItems.Add(-1) == 0 || !m.ordered || m.needed.Load() == r.items[i].index() {
		m.wakeConsumer()
	}
}

func (r *remoteItems[In, Out]) observe(i int, kind EventKind, worker int, err error) {
	list, _ := r.task.observers()
	if list == nil {
		return
	}
	it := &r.items[i]
	if it.observed == nil {
		if kind > TaskStarted {
			return // the item had started when the first observer came
		}
		it.observed = &observed{lastNumber.Add(1), r.input(i)}
	}
	list.callIsolated(Event{Kind: kind, Task: it.observed.number, Name: it.observed.input.Name, Input: it.observed.input, Worker: worker, Time: time.Now(), Err: err, Context: r.m.ctx})
}

func codecOf(f *Function) Codec {
	if f == nil {
		return nil
	}
	return f.codec
}
