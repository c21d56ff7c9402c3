package executor

import (
	"context"
	"iter"
	"sync"
	"sync/atomic"
	"time"
)

// How a Map works
//
//	feeder goroutine        runners (tasks on the executor)       consumer (the loop)
//	takes an input   --->   claim an item, call fn, mark it  ---> yields it
//	as far as the window    done; after a turn go back to the     moves the window on
//	allows                  queue; if there is no input, park
//
// The number of runners is at most the executor's width. An item passes from
// the feeder to the consumer without a lock. The feeder, the runners and the
// consumer synchronize only where one of them sleeps:
//
//   - A runner parks if there is no unclaimed item: 1. it decrements active,
//     2. it checks again. The feeder: 1. appends, 2. starts a runner if fewer
//     than width are active. Atomics are sequentially consistent, so at least
//     one of the two sees the first step of the other, and no item stays
//     unclaimed.
//   - The feeder sleeps if the window is full: 1. it sets feederAsleep, 2. it
//     checks again. The consumer: 1. counts a result as yielded, 2. wakes a
//     sleeping feeder if a quarter of the window is free, so that the two do
//     not alternate. A claim for remote workers: 1. changes the window, 2.
//     wakes a sleeping feeder if the window has room now.
//   - The consumer sleeps if the next result is not done: 1. it sets needed
//     and asleep, 2. it checks again. A runner: 1. marks an item done, 2. at
//     the end of its turn, wakes a consumer that waits for the item. So the
//     consumer is woken once for each turn, and not once for each item. If
//     the last item of a turn is slow, this takes long. So a timer also
//     wakes the consumer, which then asks the runners to wake it at once.
//
// A runner may need room in the executor's queue to start. The feeder starts a
// runner only if there is room. It must not block: the consumer may be a task
// of the same executor, and this task may have to continue before there is
// room. If there is no room and no runner is active, the consumer starts a
// runner. It uses its own context, by which the executor finds the consumer's
// worker.
//
// Fields that different goroutines write often are in different cache lines.
type mapRun[In, Out any] struct {
	caller   context.Context // the context that was given to Map; if the consumer is a task, it identifies the worker
	onWorker bool            // the consumer runs in a task on a worker
	ctx      context.Context // canceled when the range loop ends; parent of the contexts of all calls
	cancel   context.CancelCauseFunc
	// endForeign ends the context that Isolate has returned.
	endForeign func()
	ex         Executor
	fn         func(context.Context, In) (Out, error)
	id         identity // identifies fn, to find its name
	ordered    bool
	labels     *labels[In]
	trace      string   // the text for distributed tracing that remote workers receive with each call
	indexes    *indexes // nil if the index of an item is the index of its input

	stopped     atomic.Bool   // the loop has ended
	large       atomic.Bool   // an input was large or postponed: runners look for encoded items
	window      atomic.Int64  // maximum number of inputs that the feeder has taken and whose results were not yielded
	remoteItems atomic.Int64  // number of items that remote workers have claimed, or that user code encodes
	claims      atomic.Int64  // about the number of items of one claim of a remote worker
	args        weight        // of the arguments that remote workers receive
	results     weight        // of the results that remote workers send
	active      atomic.Int32  // number of runners that are in the executor; changed under mu
	room        signal        // gets an element when the feeder should wake
	wake        signal        // gets an element when the consumer should wake
	fed         chan struct{} // closed when the feeder has ended; before, the feeder sets the next three fields:

	inputPanic  *PanicError // not nil if the inputs panicked
	inputGoexit bool        // inputs ended the goroutine
	inputsLeft  bool        // the feeder ended before the inputs did

	mu      sync.Mutex
	parked  []*runner[In, Out] // guarded by mu
	runners []*runner[In, Out] // guarded by mu: all runners that exist
	failure error              // guarded by mu: why the executor dropped a runner

	encoded []encodedItem[In, Out] // guarded by mu: encoded items that no worker has claimed yet

	buffer itemBuffer[In, Out]

	// The feeder writes:
	taken        atomic.Int64 // number of inputs in the buffer; stored when the feeder sleeps and when it ends
	feederAsleep atomic.Bool
	fedWidth     int64 // the executor's width when the feeder last read it
	_            cacheLine

	// The consumer writes:
	yielded atomic.Int64 // number of results that the loop has received
	timer   *time.Timer
	asleep  atomic.Int32 // whether the consumer sleeps: awake, wakeAtTurnEnd or wakeAtOnce
	needed  atomic.Int64 // index of the item that the consumer waits for, if ordered
	_       cacheLine
}

// cacheLine puts the fields before and after it into different cache lines.
type cacheLine [64]byte

const (
	awake         = iota
	wakeAtTurnEnd // a runner wakes the consumer at the end of its turn
	wakeAtOnce    // a runner wakes the consumer at once
)

const (
	turn           = 100 * time.Microsecond // time after which a runner returns to the end of the queue
	maxBatch       = 128                    // maximum number of items between two readings of the clock
	maxWindow      = 1 << 14                // maximum number of items in the window
	maxWidth       = 1 << 24                // maximum width that a Map uses
	maxWindowBytes = 32 << 20               // maximum bytes in the window, for remote workers
	inputGrace     = 100 * time.Millisecond // time that Map waits for inputs that are blocked when the loop has ended
)

func newMapRun[In, Out any](ctx context.Context, ex Executor, fn func(context.Context, In) (Out, error), ordered bool) *mapRun[In, Out] {
	m := &mapRun[In, Out]{
		caller: ctx, ex: ex, fn: fn, id: identityOf(fn), ordered: ordered,
		room: make(signal, 1), wake: make(signal, 1), fed: make(chan struct{}),
	}
	s, _ := carrierOf(ctx)
	m.onWorker = s != nil
	m.labels = newLabels[In](ctx)
	m.trace = inject(ctx, 0)
	m.fedWidth = m.width() // may panic
	ctx, m.endForeign = Isolate(ctx)
	m.caller = ctx
	inner, cancel := context.WithCancelCause(ctx)
	m.ctx, m.cancel = &mapContext{inner, ctx}, cancel
	m.buffer.init(ordered)
	m.fitWindow(1)
	return m
}

// width returns the executor's width. It is at least 1 and at most maxWidth, so
// that computations with it do not overflow.
func (m *mapRun[In, Out]) width() int64 { return int64(min(max(m.ex.Width(), 1), maxWidth)) }

// fitWindow sets the window for runners that read the clock after each batch
// of items. The window grows in small steps, because results may be large.
func (m *mapRun[In, Out]) fitWindow(batch int) {
	ahead := 4 * m.width()
	m.window.Store(max(ahead, min(ahead*int64(batch*min(batch, 4)), maxWindow)))
}

// fitRemoteWindow sets the window for a remote executor. The parameter most
// is the maximum number of items of one claim. The executor chooses this
// number by the duration of earlier calls. If slow calls follow quick ones,
// the number is too large for them, and the feeder would take too many
// inputs. So the window starts small and grows with the results. If values
// are large, the window is smaller.
func (m *mapRun[In, Out]) fitRemoteWindow(most int) {
	before := m.claims.Load()
	claims := max(int64(min(most, maxWindow)), before-before/16) // decreases slowly, because the parameter most is sometimes small when a worker has little room
	m.claims.Store(claims)
	width := m.width()
	ahead := min(4*width*claims, 4*width+2*m.yielded.Load(), maxWindow, maxWindowBytes/max(1, m.args.bytes.Load()+m.results.bytes.Load()))
	if ahead = max(ahead, 2*width); ahead != m.window.Load() {
		m.window.Store(ahead)
		// The executor may have become wider since the feeder went to sleep,
		// and the consumer may wait for a slow item.
		if m.feederAsleep.Load() && m.taken.Load()-m.yielded.Load() < ahead {
			m.feederAsleep.Store(false)
			m.room.notify(nil)
		}
	}
}

// weight estimates the size in bytes of large recent values, to limit the
// memory of the window. A larger value replaces the estimate at once. With each
// smaller value, the estimate decreases by a 16th. Arguments and results have
// separate estimates, because there can be many small arguments between two
// large results.
type weight struct{ bytes atomic.Int64 }

func (w *weight) note(bytes int) {
	before := w.bytes.Load()
	if bytes < 1<<10 && before == 0 {
		return // a full window of such values needs little memory
	}
	w.bytes.Store(max(int64(bytes), before-before/16)) // an update that another goroutine overwrites does no harm
}

// feed takes inputs until they end or the loop ends.
func (m *mapRun[In, Out]) feed(inputs iter.Seq[In]) {
	returned := false
	n, limit := int64(0), int64(0) // number of inputs that were taken; maximum of n, as last computed
	defer func() {
		m.taken.Store(n)
		if !returned {
			if v := recover(); v != nil {
				m.inputPanic = NewPanicError(v)
				m.inputPanic.where = "the inputs or the labels of a Map"
			} else {
				m.inputGoexit = true
			}
		}
		close(m.fed)
		m.wakeConsumer()
	}()
	for in := range inputs {
		if m.stopped.Load() {
			m.inputsLeft = true
			break
		}
		if m.labels != nil {
			m.labels.add(n, in)
		}
		m.buffer.append(in)
		n++
		if int64(m.active.Load()) < m.width() && m.buffer.unclaimed() {
			m.start(noWait)
		}
		// The loop continues to the next input only if the window has room for
		// it.
		if n < limit {
			continue
		}
		if wide := m.width(); wide != m.fedWidth { // the executor has been resized
			m.window.Store(max(m.window.Load()*wide/m.fedWidth, 4*wide))
			m.fedWidth = wide
		}
		if limit = m.yielded.Load() + m.window.Load(); n >= limit && !m.awaitRoom(n) {
			m.inputsLeft = true
			break
		}
	}
	returned = true
}

// awaitRoom waits until the window has room for more than n inputs. It reports
// false if the Map ended first: the loop or the context has ended, or the
// executor was shut down.
func (m *mapRun[In, Out]) awaitRoom(n int64) bool {
	m.taken.Store(n)
	for {
		m.feederAsleep.Store(true)
		if n-m.yielded.Load() < m.window.Load() {
			m.feederAsleep.Store(false)
			return true
		}
		select {
		case <-m.room:
		case <-m.ctx.Done():
			return false
		}
	}
}

// start submits a runner to the executor. It reports false if the executor
// refused the runner, or the Map has ended.
func (m *mapRun[In, Out]) start(ctx context.Context) bool {
	m.mu.Lock()
	if m.stopped.Load() || m.failure != nil {
		m.mu.Unlock()
		return false
	}
	var r *runner[In, Out]
	if n := len(m.parked); n > 0 {
		r = m.parked[n-1]
		m.parked = m.parked[:n-1]
	} else {
		r = m.newRunner()
		m.runners = append(m.runners, r)
	}
	m.active.Add(1)
	m.mu.Unlock()

	err := m.ex.Execute(ctx, &r.task)
	if err == nil {
		if m.stopped.Load() {
			r.task.Cancel(nil) // m.stop may have run before the task was pending
		}
		if m.onWorker {
			m.wakeConsumer() // the consumer sleeps, and may hold the only worker that can run the runner
		}
		return true
	}
	if !r.task.move(pending, idle) {
		return false // the runner was canceled, or the consumer runs it
	}
	full := isNoRoom(err)
	m.mu.Lock()
	m.parked = append(m.parked, r)
	m.active.Add(-1)
	if !full && m.failure == nil {
		m.failure = err
	}
	m.mu.Unlock()
	m.wakeConsumer()
	return false
}

// Map implements concert.Map, and concert.MapUnordered if ordered is false. It
// returns each result with the index of its input. An error that concerns the
// whole Map has the index -1.
func Map[In, Out any](ctx context.Context, ex Executor, fn func(context.Context, In) (Out, error), inputs iter.Seq[In], ordered bool) func(yield func(index int64, out Out, err error) bool) {
	if ctx == nil || ex == nil || fn == nil || inputs == nil {
		panic(nilArgument("Map", ctx, ex, "function or inputs"))
	}
	return func(yield func(int64, Out, error) bool) {
		m := newMapRun(ctx, ex, fn, ordered)
		go m.feed(inputs)
		defer m.stop()
		m.consume(yield)
	}
}
