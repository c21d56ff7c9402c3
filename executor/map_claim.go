package executor

import (
	"slices"

	"concert/internal/values"
)

// This file implements Task.Claim for a Map. See also map_encode.go.

// claim returns unclaimed items as a batch. If no item is left, the runner
// parks. The parameter most is the maximum number of items. If it is larger,
// the feeder takes more inputs ahead of the results. If user code may encode
// an item, or the item is large, it is encoded on another goroutine, and a
// later claim returns it. All items of a batch have the same handles of
// shared values: see Batch.SharedClosed.
func (r *runner[In, Out]) claim(t *Task, most, size int) (batch *Batch, again bool) {
	if !t.move(pending, running) {
		return nil, false
	}
	m := r.m
	m.fitRemoteWindow(most)
	var always, depends bool
	f, missing := registry.find(valuePointer(m.fn), m.id.code)
	if missing == nil {
		if !m.large.Load() {
			if flat := flatOf[In](f.codec); flat != nil || isSimple[In]() {
				return r.claimSimple(t, f, flat, most, size)
			}
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
			t.group.stats.shardOf(t).claimed.Add(1)
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

// claimSimple does the same as claim, for inputs that encodeSimple encodes, or
// whose type is flat. It claims several items in one step. If their arguments
// have more than size bytes, it leaves the last items to later claims. flat may
// be nil if encodeSimple encodes the inputs.
func (r *runner[In, Out]) claimSimple(t *Task, f *Function, flat *Flat, most, size int) (batch *Batch, again bool) {
	m := r.m
	perItem := 0 // bytes of buf
	if isScalar[In]() {
		perItem = scalarSize
		most = min(most, max(1, size/scalarSize))
	}
	var b *remoteItems[In, Out]
	var buf []byte
	var flatBuf flatBuffer
	bytes, largest, fit := 0, 0, 0 // fit is the number of items up to the item with which the arguments reach size bytes
	for (b == nil || len(b.items) < most) && bytes < size && !m.stopped.Load() {
		have := 0
		if b != nil {
			have = len(b.items)
		}
		items, index := m.buffer.claimSome(&r.seen, most-have)
		if len(items) == 0 {
			if r.park(t) {
				return batch.orNil(), false
			}
			continue
		}
		m.remoteItems.Add(int64(len(items)))
		t.group.stats.shardOf(t).claimed.Add(int64(len(items)))
		if b == nil {
			room := min(m.buffer.ahead(most)+len(items), most)
			b = &remoteItems[In, Out]{m: m, task: t, codec: codecOf(f), items: make([]remoteItem[In, Out], 0, room)}
			batch = &Batch{Name: f.name, Args: make([]Encoded, 0, room), job: b}
			buf = make([]byte, 0, perItem*room)
		}
		for i := range items {
			last := len(b.items)
			b.items = append(b.items, newRemoteItem(&items[i], index+int64(i)))
			b.observe(last, TaskSubmitted, -1, nil)
			var arg Encoded
			ok := false
			if flat != nil {
				arg, ok = flatBuf.append(flat, &items[i].in, cap(b.items)-last)
			}
			if !ok {
				arg, buf, ok = encodeSimple(buf, items[i].in)
			}
			if !ok {
				x := encodedItem[In, Out]{remoteItem: b.items[last]}
				b.items = b.items[:last]
				m.large.Store(true)
				m.encodeAsync(t, f, b.alone(x.remoteItem), x)
				continue
			}
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
		return batch.orNil(), false
	}
	t.move(running, pending)
	return batch.orNil(), true
}

// orNil returns nil if the batch has no calls.
func (b *Batch) orNil() *Batch {
	if b == nil || len(b.Args) == 0 {
		return nil
	}
	return b
}
