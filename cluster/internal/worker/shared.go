package worker

import (
	"bytes"
	"container/list"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"concert"
	"concert/cluster/internal/jet"
	"concert/cluster/internal/wire"
	"concert/executor"
)

// The message of a task lists the shared values to which its argument
// refers. A worker downloads each value once, for all tasks that use it, and
// passes it to its executor. So a pool of processes has the value once in
// shared memory.
//
//	task --reserve--> loading --download, RelayShared--> loaded --last task ends--> idle
//	                     |                                 ^                         |  |
//	                     | fails: removed                  +-------- next task ------+  |
//	                     v                                                              v
//	                  the tasks end, and the client uploads the value again          evicted
//
// A value counts as memory from its reservation to its removal, see memory.go.
// The worker evicts idle values, the longest idle value first, when a task
// needs memory, and when there are more than maxIdleValues. It also evicts a
// value that was idle for maxIdleTime. A worker receives no message when a
// client closes a handle.
//
// The value belongs to the client that has signed the message of the task:
// Download refuses a name that does not begin with the name of this client. The
// message also has the digest of the value.

// maxIdleTime is the time for which a worker keeps a value that no task
// uses.
const maxIdleTime = 10 * time.Minute

// maxIdleValues is the maximum number of idle values in a worker: no task uses
// these values. A pool of processes needs a file descriptor for each value that
// is not small.
const maxIdleValues = 256

// valueOverhead is the memory for a value in addition to its bytes.
const valueOverhead = 1 << 10

// maxTaskValues is the maximum size of the shared values of one task together,
// in bytes. If memory.values is larger, then memory.values is the maximum.
const maxTaskValues = 1 << 30

// sharedValue is a shared value for which this worker has reserved memory.
type sharedValue struct {
	client string
	ref    wire.SharedValue
	loaded chan struct{} // closed when the value was loaded, or when loading has failed

	// Set before loaded is closed:
	stored *executor.Stored
	err    error

	// Guarded by the worker's mu:
	users int           // number of running tasks that use the value
	idle  *list.Element // its element of memory.idle, or nil
	since time.Time     // when the value became idle
}

// memoryOf returns the number of bytes of memory that a shared value takes.
func memoryOf(v *wire.SharedValue) int64 { return int64(v.Size) + valueOverhead }

// sharedKey identifies a shared value in a worker. Several clients can use one
// ID for the same content. Examples are workers of another cluster that pass
// their tasks to this cluster. Each client has a value of its own, because each
// client must have stored it.
type sharedKey struct {
	id     executor.SharedID
	client string
}

func (v *sharedValue) key() sharedKey { return sharedKey{v.ref.ID, v.client} }

// matches reports whether the value has the content to which a task refers. IDs
// are random, so another content with the same ID is not a coincidence.
func (v *sharedValue) matches(ref *wire.SharedValue) bool {
	return v.ref.Size == ref.Size && v.ref.Kind == ref.Kind && bytes.Equal(v.ref.Sum, ref.Sum)
}

func (m *memory) add(v *sharedValue) {
	m.shared[v.key()] = v
	m.byID[v.ref.ID] = append(m.byID[v.ref.ID], v)
}

func (m *memory) remove(v *sharedValue) {
	delete(m.shared, v.key())
	same := slices.DeleteFunc(m.byID[v.ref.ID], func(o *sharedValue) bool { return o == v })
	if m.byID[v.ref.ID] = same; len(same) == 0 {
		delete(m.byID, v.ref.ID)
	}
}

// checkShared returns an error if the shared values of a task are too large for
// this worker.
func (w *worker) checkShared(d *heldTask) error {
	size, most := int64(0), max(maxTaskValues, w.memory.values)
	for i := range d.Shared {
		size += int64(d.Shared[i].Size)
	}
	if size > most {
		return fmt.Errorf("%w: the argument of %s refers to shared values of %d bytes, and this worker accepts %d: set ServeOptions.MaxBytes of the worker", jet.ErrTooLarge, d.Function, size, most)
	}
	return nil
}

// reserveLocked reserves memory for the shared values of a task that is about
// to run, and starts to load the values that the worker does not have. It
// evicts idle values to make room.
func (w *worker) reserveLocked(d *heldTask) {
	m := &w.memory
	if m.shared == nil {
		d.missing = errDraining
		return
	}
	for i := range d.Shared {
		ref := &d.Shared[i]
		v := m.shared[sharedKey{ref.ID, d.ID.Client}]
		if same := m.byID[ref.ID]; len(same) > 0 && !same[0].matches(ref) {
			d.values = append(d.values, &sharedValue{ref: *ref, loaded: alwaysLoaded, err: errOtherValue})
			continue
		}
		if v == nil {
			v = &sharedValue{client: d.ID.Client, ref: *ref, loaded: make(chan struct{})}
			v.ref.Sum = bytes.Clone(ref.Sum)
			m.add(v)
			w.conn.Background.Go(func() { w.load(v) })
		}
		if v.users++; v.users == 1 {
			m.used += memoryOf(ref)
			if v.idle != nil {
				m.idle.Remove(v.idle)
				m.unused -= memoryOf(ref)
				v.idle = nil
			}
		}
		d.values = append(d.values, v)
	}
	w.makeRoomLocked()
}

// makeRoomLocked evicts idle values until the large values do not exceed their
// limit, or until no value is idle.
func (w *worker) makeRoomLocked() {
	m := &w.memory
	w.evictLocked(func(*sharedValue) bool { return m.arguments+m.results+m.used+m.unused > m.values })
}

// errOtherValue is the error of a task that refers to a shared value whose ID
// this worker already has for a different value.
var errOtherValue = errors.New("this worker has a different value with the same ID")

// alwaysLoaded is a closed channel.
var alwaysLoaded = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// unreserveLocked ends the use of the shared values of a task that no longer
// runs. Values that no other task uses become idle.
func (w *worker) unreserveLocked(d *heldTask) {
	m := &w.memory
	for _, v := range d.values {
		if v.users--; v.users > 0 || m.shared[v.key()] != v {
			continue
		}
		m.used -= memoryOf(&v.ref)
		m.unused += memoryOf(&v.ref)
		v.since = time.Now()
		v.idle = m.idle.PushFront(v)
	}
	d.values = nil
	w.evictLocked(func(*sharedValue) bool { return m.idle.Len() > maxIdleValues })
}

// evictLocked removes idle values, the longest idle value first, until more(v)
// is false for the next value v.
func (w *worker) evictLocked(more func(v *sharedValue) bool) {
	m := &w.memory
	for e := m.idle.Back(); e != nil && more(e.Value.(*sharedValue)); e = m.idle.Back() {
		v := e.Value.(*sharedValue)
		m.idle.Remove(e)
		m.unused -= memoryOf(&v.ref)
		m.remove(v)
		w.conn.Background.Go(v.release)
	}
}

// evictIdle removes the values that were idle for maxIdleTime.
func (w *worker) evictIdle() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.evictLocked(func(v *sharedValue) bool { return time.Since(v.since) > maxIdleTime })
}

// evictAll removes all values. It is called when the worker ends. Calls that
// did not end in time may lose their values.
func (w *worker) evictAll() {
	w.mu.Lock()
	all := w.memory.shared
	w.memory.shared, w.memory.byID = nil, nil
	w.mu.Unlock()
	for _, v := range all {
		w.conn.Background.Go(v.release)
	}
}

// release waits until the loading of a value has ended. If the executor has
// stored the value, release releases it there.
func (v *sharedValue) release() {
	if <-v.loaded; v.stored != nil {
		v.stored.Release()
	}
}

// load downloads a value, and passes it to the executor.
func (w *worker) load(v *sharedValue) {
	defer close(v.loaded)
	value := executor.Encoded{Kind: v.ref.Kind}
	if v.ref.Size > 0 {
		value, v.err = w.conn.Download(w.ctx, v.client, v.ref.Value, wire.IsArgumentName)
	}
	if v.err == nil {
		v.stored, v.err = executor.RelayShared(w.ctx, w.ex, v.ref.ID, value)
	}
	if v.err == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	m := &w.memory
	if m.shared[v.key()] != v { // the worker ends
		return
	}
	m.remove(v)
	if v.idle == nil {
		m.used -= memoryOf(&v.ref)
		return
	}
	m.idle.Remove(v.idle)
	m.unused -= memoryOf(&v.ref)
	v.idle = nil
}

// isLoaded reports whether all shared values of a running task are loaded.
func (d *heldTask) isLoaded() bool {
	return !slices.ContainsFunc(d.values, func(v *sharedValue) bool {
		select {
		case <-v.loaded:
			return v.err != nil
		default:
			return true
		}
	})
}

// awaitShared waits until the shared values of a running task are loaded. If a
// value cannot be loaded, awaitShared returns the value and the error.
func (d *heldTask) awaitShared(ctx context.Context) (*sharedValue, error) {
	for _, v := range d.values {
		select {
		case <-v.loaded:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if v.err != nil {
			return v, v.err
		}
	}
	return nil, nil
}

// storedValues returns the shared values of a running task, for its executor.
func (d *heldTask) storedValues() (all []*executor.Stored) {
	for _, v := range d.values {
		all = append(all, v.stored)
	}
	return all
}

// failShared ends a task whose shared value v could not be loaded. If the
// servers do not have the value, the client uploads the value again.
func (w *worker) failShared(d *heldTask, v *sharedValue, err error) {
	switch {
	case v == nil, w.ctx.Err() != nil: // the task was canceled, or the worker stops
		w.release(d)
	case errors.Is(err, concert.ErrClosed):
		w.stopClosed(d, err)
	case errors.Is(err, jet.ErrAbsent):
		w.publishOutcome(d, wire.Outcome{Dropped: true, Missing: v.ref.ID[:], Err: executor.EncodeError(fmt.Errorf("cluster: downloading a shared value: %w", err))})
	default:
		w.publishOutcome(d, wire.Outcome{Dropped: true, Err: executor.EncodeError(fmt.Errorf("cluster: a worker could not store a shared value for %s: %w", d.Function, err))})
	}
}
