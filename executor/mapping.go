package executor

import (
	"context"
	"errors"
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
//	allows                  queue, without input park
//
// There are at most as many runners as the executor is wide. Nobody waits for
// a lock on the way of an item; they meet where somebody has to sleep:
//
//   - Runners park when nothing is unclaimed: 1. count themselves inactive,
//     2. look again. The feeder: 1. appends, 2. starts a runner if fewer than
//     width are active. Atomics are sequentially consistent, so one of the two
//     sees the other; an item is never left lying.
//   - The feeder sleeps when the window is full: 1. says so, 2. looks again.
//     The consumer: 1. counts a result as yielded, 2. wakes a sleeping feeder
//     once a quarter of the window is free, so that they do not alternate. Who
//     claims for workers elsewhere: 1. fits the window, 2. wakes a sleeping
//     feeder if that has room now.
//   - The consumer sleeps when the result that is next is not done: 1. says
//     which one it needs, and that it is asleep, 2. looks again. A runner: 1.
//     marks an item done, 2. wakes the consumer if it needed that one, at the
//     end of its turn. So the consumer is woken once a turn and not once an
//     item; since a turn can end in a slow item, the consumer looks by itself
//     after a while and then asks to be woken at once.
//
// Starting a runner may need room in the executor's queue. The feeder only
// tries: it must not block there, because a consumer that is itself a worker
// of the executor may be what has to move first. If it fails and no runner is
// active, the consumer starts one, under its own context, which marks it.
//
// Fields are apart by who writes them often, so that the processors of the
// three do not take each other's cache lines.
type mapping[In, Out any] struct {
	outer    context.Context // the caller's; marks the consumer's worker, if it is one
	onWorker bool            // it does
	ctx      context.Context // ends with the loop; parent of every call's
	cancel   context.CancelCauseFunc
	// endForeign, unless nil, ends the stand-in for the caller's context.
	endForeign func()
	ex         Executor
	fn         func(context.Context, In) (Out, error)
	id         identity // of fn
	ordered    bool
	labels     *labels[In]

	stopped atomic.Bool   // the loop has ended
	large   atomic.Bool   // an input was large: runners use claimAsync
	window  atomic.Int64  // how far taken may be ahead of yielded
	away    atomic.Int64  // items in the hands of workers elsewhere
	claims  atomic.Int64  // about how many of these a worker asks for at a time
	args    weight        // of one of these
	results weight        // likewise
	active  atomic.Int32  // runners that are in the executor; changed under mu
	room    signal        // wakes the feeder
	wake    signal        // wakes the consumer
	fed     chan struct{} // closed when the feeder has ended; then:

	inputPanic  *PanicError // inputs panicked
	inputGoexit bool        // inputs ended the goroutine
	inputsLeft  bool        // the feeder ended before the inputs did

	mu      sync.Mutex
	parked  []*runner[In, Out] // guarded by mu
	runners []*runner[In, Out] // guarded by mu: all
	failure error              // guarded by mu: why the executor dropped a runner

	encoded []encodedItem[In, Out] // guarded by mu: items that methods of the program have encoded, and that are not away

	line line[In, Out]

	// The feeder's:
	taken        atomic.Int64 // inputs in the line; stored when it sleeps and when it ends
	feederAsleep atomic.Bool
	fedWidth     int64 // the executor's, when it was looked at last
	_            cacheLine

	// The consumer's:
	yielded atomic.Int64 // results given out
	timer   *time.Timer
	asleep  atomic.Int32 // awake, drowsy or deep
	needed  atomic.Int64 // index of the item it sleeps for, when ordered
	_       cacheLine
}

// cacheLine keeps its neighbors apart in memory.
type cacheLine [64]byte

const (
	awake  = iota
	drowsy // wake me at the end of your turn
	deep   // wake me at once
)

const (
	turn         = 100 * time.Microsecond // what a runner works before it lets others have a turn
	largestBatch = 128                    // items between two looks at the clock
	largestAhead = 1 << 14                // items the window of quick items may have
	largestWidth = 1 << 24                // workers that a Map uses
	heaviest     = 32 << 20               // bytes that the window of items from elsewhere may have
	inputGrace   = 100 * time.Millisecond // for inputs that block when the loop is left
)

// errNoRoom is the cause of noWait, a context for an Execute that must not
// wait for room.
var errNoRoom = errors.New("concert: no room")

var noWait = func() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errNoRoom)
	return ctx
}()

func newMapping[In, Out any](ctx context.Context, ex Executor, fn func(context.Context, In) (Out, error), ordered bool) *mapping[In, Out] {
	m := &mapping[In, Out]{
		outer: ctx, ex: ex, fn: fn, id: identityOf(fn), ordered: ordered,
		room: make(signal, 1), wake: make(signal, 1), fed: make(chan struct{}),
	}
	s, _ := standing(ctx)
	m.onWorker = s != nil
	m.labels = newLabels[In](ctx)
	if foreign(ctx) {
		f := newForeignContext(ctx)
		ctx, m.outer, m.endForeign = f, f, f.stop
	}
	inner, cancel := context.WithCancelCause(ctx)
	m.ctx, m.cancel = &mapContext{inner, ctx}, cancel
	m.line.init()
	m.fedWidth = m.width()
	m.widen(1)
	return m
}

// width is the executor's width, as far as the arithmetic of the window goes.
func (m *mapping[In, Out]) width() int64 { return int64(min(max(m.ex.Width(), 1), largestWidth)) }

// widen fits the window to batches of that many items.
func (m *mapping[In, Out]) widen(batch int) {
	width := m.width()
	ahead := 4 * width
	if batch > 1 {
		ahead = max(ahead, min(16*width*int64(batch), largestAhead))
	}
	m.window.Store(ahead)
}

// reach fits the window to an executor whose workers are elsewhere and that
// claims most items at a time for each. What comes back large is kept in few.
// How many it claims, it judges by what it ran before; so the window starts
// small and grows with the results, lest slow calls that follow quick ones are
// taken far ahead of.
func (m *mapping[In, Out]) reach(most int) {
	before := m.claims.Load()
	claims := max(int64(min(most, largestAhead)), before-before/16) // it does not always have room for as many
	m.claims.Store(claims)
	width := m.width()
	ahead := min(4*width*claims, 4*width+2*m.yielded.Load(), largestAhead, heaviest/max(1, m.args.bytes.Load()+m.results.bytes.Load()))
	if ahead = max(ahead, 2*width); ahead != m.window.Load() {
		m.window.Store(ahead)
		// The executor may be wider than when the feeder went to sleep, and the
		// consumer wait for an item that takes long.
		if m.feederAsleep.Load() && m.taken.Load()-m.yielded.Load() < ahead {
			m.feederAsleep.Store(false)
			m.room.tell(nil)
		}
	}
}

// weight is about the bytes of a large one of the latest values of a kind.
// Arguments and results have one each, as there can be many small ones of the
// one kind between two large ones of the other.
type weight struct{ bytes atomic.Int64 }

func (w *weight) note(bytes int) {
	before := w.bytes.Load()
	if bytes < 1<<10 && before == 0 {
		return // even a full window of them is nothing
	}
	w.bytes.Store(max(int64(bytes), before-before/16)) // near enough if two do it at once
}

// feed takes inputs until they end or the loop does.
func (m *mapping[In, Out]) feed(inputs iter.Seq[In]) {
	returned := false
	n, limit := int64(0), int64(0) // inputs taken, and how many may be as far as it knows
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
		m.rouse()
	}()
	for in := range inputs {
		if m.stopped.Load() {
			m.inputsLeft = true
			break
		}
		if m.labels != nil {
			m.labels.add(n, in)
		}
		m.line.append(in)
		n++
		if int64(m.active.Load()) < m.width() && m.line.unclaimed() {
			m.start(noWait)
		}
		// The input is asked for its next value only when there is room.
		if n < limit {
			continue
		}
		if wide := m.width(); wide != m.fedWidth { // it has been resized
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
// false if the Map ended first, because of the loop, the context or the
// executor.
func (m *mapping[In, Out]) awaitRoom(n int64) bool {
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

// start puts a runner into the executor. It reports false if there was no
// room, or there is none to start.
func (m *mapping[In, Out]) start(ctx context.Context) bool {
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
			r.task.Cancel(nil) // stop may have passed by before it was pending
		}
		if m.onWorker {
			m.rouse() // the runner may need the very worker that sleeps
		}
		return true
	}
	if !r.task.move(pending, idle) {
		return false // it was canceled, or the consumer runs it
	}
	full := isNoRoom(err)
	m.mu.Lock()
	m.parked = append(m.parked, r)
	m.active.Add(-1)
	if !full && m.failure == nil {
		m.failure = err
	}
	m.mu.Unlock()
	m.rouse()
	return false
}

// isNoRoom reports whether an executor has refused a runner only because it has
// no room. The error may be the program's, as that of an initializer, and have
// methods that fail. Then it is another error.
func isNoRoom(err error) bool {
	if sameError(err, errNoRoom) {
		return true
	}
	switch err.(type) {
	case interface{ Unwrap() error }, interface{ Unwrap() []error }, interface{ Is(error) bool }:
		is, _ := callMethod(newErrorMethods(), func() bool { return errors.Is(err, errNoRoom) })
		return is
	}
	return false
}
