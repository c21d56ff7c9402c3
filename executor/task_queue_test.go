package executor

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// queueExecutor is an executor without workers: tests take its tasks.
type queueExecutor struct {
	collector
	mu    sync.Mutex
	queue *TaskQueue
	group *WorkerGroup
	added int // guarded by mu: calls of onTask
}

func newQueueExecutor(t *testing.T, size int) *queueExecutor {
	e := new(queueExecutor)
	e.queue = NewTaskQueue(&e.mu, size, func() {
		e.added++
		if e.mu.TryLock() {
			e.mu.Unlock()
			t.Error("the queue called onTask without its mutex")
		}
	})
	e.group = NewWorkerGroup(e.queue, nil)
	return e
}

func (e *queueExecutor) Execute(ctx context.Context, t *Task) error {
	e.group.Adopt(t)
	return e.queue.Push(ctx, e.group, t)
}

func nothing(context.Context, int) (int, error) { return 0, nil }

// queueModel is a simple model of a TaskQueue, with which a test compares the
// queue.
type queueModel struct {
	size     int
	queued   []*modelTask
	blocked  []*modelTask
	reserved int
	added    int
}

// modelTask is a task of a Submit that may block.
type modelTask struct {
	cancelWait context.CancelFunc // ends the context of the submitter
	future     *Future[int]       // nil while the submitter is blocked
}

func (m *queueModel) add(t *modelTask) { m.queued = append(m.queued, t); m.added++ }

func (m *queueModel) used() int { return len(m.queued) + m.reserved }

func (m *queueModel) push(t *modelTask) {
	if len(m.blocked) == 0 && m.used() < m.size {
		m.add(t)
	} else {
		m.blocked = append(m.blocked, t)
	}
}

func (m *queueModel) admitOne() { t := m.blocked[0]; m.blocked = m.blocked[1:]; m.add(t) }

// admit admits blocked submitters. The test calls it after each step that may
// free slots.
func (m *queueModel) admit() {
	if m.used() <= m.size-max(1, m.size/4) {
		for len(m.blocked) > 0 && m.used() < m.size {
			m.admitOne()
		}
	}
}

// check compares the numbers of the queue with those of the model.
func (m *queueModel) check(e *queueExecutor, exactly bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n := e.queue.LenLocked(); n < len(m.queued) {
		return fmt.Errorf("LenLocked() = %d, less than %d", n, len(m.queued))
	}
	if e.added != m.added {
		return fmt.Errorf("onTask was called %d times for %d tasks", e.added, m.added)
	}
	var live []*Task
	for _, t := range e.queue.TasksLocked() {
		if t.Waiting() {
			live = append(live, t)
		}
	}
	if len(live) != len(m.queued) {
		return fmt.Errorf("TasksLocked() has %d tasks that wait, want %d", len(live), len(m.queued))
	}
	for i, t := range m.queued {
		if t.future == nil || &t.future.task != live[i] || i == 0 && exactly && e.queue.FirstLocked() != live[i] {
			return fmt.Errorf("task %d of the queue is not task %[1]d of the model", i)
		}
	}
	if exactly {
		e.queue.compactLocked()
		e.queue.admitLocked()
		if queued, blocked := e.queue.LenLocked(), int(e.queue.blocked.Load()); queued != len(m.queued) || blocked != len(m.blocked) {
			return fmt.Errorf("%d tasks and %d blocked submitters, want %d and %d", queued, blocked, len(m.queued), len(m.blocked))
		}
	}
	return nil
}

func take(list *[]*modelTask, i int) *modelTask {
	t := (*list)[i]
	*list = slices.Delete(*list, i, i+1)
	return t
}

// TestTaskQueue_Model: after random steps, a TaskQueue contains the same tasks
// and blocked submitters as a simple model.
func TestTaskQueue_Model(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	for range 60 {
		synctest.Test(t, func(t *testing.T) {
			size := 1 + random.IntN(10)
			if random.IntN(4) == 0 {
				size = 1 + random.IntN(400) // more than one segment
			}
			e, m := newQueueExecutor(t, size), &queueModel{size: size}
			var taken []*modelTask
			for range 60 * (1 + size/20) {
				switch random.IntN(11) {
				case 0, 1, 2, 3:
					for range 1 + random.IntN(1+size/2) {
						ctx, cancel := context.WithCancel(t.Context())
						s := &modelTask{cancelWait: cancel}
						go func() { s.future = Submit(ctx, e, nothing, 0) }()
						synctest.Wait()
						m.push(s)
						m.admit()
					}
				case 4, 5:
					for range 1 + random.IntN(1+size/2) {
						got := nextOf(e, random)
						if len(m.queued) == 0 {
							if got != nil {
								t.Fatalf("seed %d: the queue has a task more than the model", seed)
							}
							break
						}
						want := take(&m.queued, 0)
						m.admit()
						synctest.Wait()
						if want.future == nil || got != &want.future.task {
							t.Fatalf("seed %d: Next returned %p; the model has another task", seed, got)
						}
						taken = append(taken, want)
					}
				case 6: // a task of a Map returns
					if len(taken) > 0 {
						s := take(&taken, random.IntN(len(taken)))
						e.queue.Again(&s.future.task)
						if len(m.blocked) > 0 {
							m.admitOne()
						}
						m.add(s)
					}
				case 9: // a task returns to the front
					if len(taken) > 0 {
						s := take(&taken, random.IntN(len(taken)))
						e.mu.Lock()
						e.queue.AddFirstLocked(&s.future.task)
						e.mu.Unlock()
						m.queued = slices.Insert(m.queued, 0, s)
						m.added++
					}
				case 10: // the number of reserved slots changes
					change := 1
					if m.reserved > 0 && (m.reserved == size || random.IntN(2) == 0) {
						change = -1
					}
					e.mu.Lock()
					e.queue.ReserveLocked(change)
					e.mu.Unlock()
					m.reserved += change
					m.admit()
				case 7: // a queued task is canceled
					for range random.IntN(3) {
						if len(m.queued) > 0 {
							s := take(&m.queued, random.IntN(len(m.queued)))
							s.future.Cancel()
							m.admit()
							synctest.Wait()
						}
					}
				case 8: // a blocked submitter gives up
					if len(m.blocked) > 0 {
						s := take(&m.blocked, random.IntN(len(m.blocked)))
						s.cancelWait()
						synctest.Wait()
						if s.future == nil || s.future.State() != Canceled {
							t.Fatalf("seed %d: a submitter whose context ended blocks", seed)
						}
					}
				}
				synctest.Wait()
				if err := m.check(e, random.IntN(4) == 0); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
			}
			e.queue.Close(ErrClosed)
			synctest.Wait()
			refused := slices.Concat(m.blocked, []*modelTask{{future: Submit(t.Context(), e, nothing, 0)}})
			if len(taken) > 0 {
				e.queue.Again(&taken[0].future.task)
				refused = append(refused, taken[0])
			}
			for _, s := range refused {
				if _, err := s.future.Result(t.Context()); !errors.Is(err, ErrClosed) {
					t.Errorf("seed %d: a task after Close: %v, want ErrClosed", seed, err)
				}
			}
			for _, want := range m.queued {
				if got := nextOf(e, random); got != &want.future.task {
					t.Fatalf("seed %d: after Close, Next returned %p; the model has another task", seed, got)
				}
			}
			if nextOf(e, random) != nil {
				t.Fatalf("seed %d: the queue has a task more than the model", seed)
			}
		})
	}
}

// nextOf calls Next or NextLocked.
func nextOf(e *queueExecutor, random *rand.Rand) *Task {
	if random.IntN(2) == 0 {
		return e.queue.Next()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.queue.NextLocked()
}

// TestTaskQueue_RemoveFirst: RemoveFirstLocked removes the task that
// FirstLocked has returned, even if the task was canceled in the meantime.
func TestTaskQueue_RemoveFirst(t *testing.T) {
	for _, queued := range []int{1, 2} {
		t.Run(fmt.Sprint(queued, " in the queue"), func(t *testing.T) {
			e := newQueueExecutor(t, 10)
			var futures []*Future[int]
			for range queued {
				futures = append(futures, Submit(t.Context(), e, nothing, 0))
			}
			e.mu.Lock()
			first := e.queue.FirstLocked()
			canceled := make(chan bool)
			go func() { canceled <- futures[0].Cancel() }() // blocks in Dropped
			for first.Waiting() {
				runtime.Gosched()
			}
			e.queue.RemoveFirstLocked()
			n := e.queue.LenLocked()
			e.mu.Unlock()
			if ok := <-canceled; !ok || n != queued-1 {
				t.Errorf("Cancel() = %v, and %d tasks are left; want true, %d", ok, n, queued-1)
			}
			e.mu.Lock()
			defer e.mu.Unlock()
			if next := e.queue.FirstLocked(); queued == 2 && (next != &futures[1].task) {
				t.Error("the second task is not in the queue")
			}
		})
	}
}

// TestTaskQueue_CloseStorm: if goroutines push, take, cancel and return tasks
// while the queue closes, each task is taken once, canceled or refused. After
// Close has returned, the queue calls onTask for no further task.
func TestTaskQueue_CloseStorm(t *testing.T) {
	for range 200 {
		var added atomic.Int64
		var e queueExecutor
		e.queue = NewTaskQueue(&e.mu, 16, func() { runtime.Gosched(); added.Add(1) })
		e.group = NewWorkerGroup(e.queue, nil)
		const submitters, each = 4, 25
		var futures [submitters][each]*Future[int]
		var taken atomic.Int64
		var closed atomic.Bool
		var wg, takers sync.WaitGroup
		begin := make(chan struct{})
		for i := range submitters {
			wg.Go(func() {
				<-begin
				for j := range each {
					f := Submit(context.Background(), &e, nothing, 0)
					if futures[i][j] = f; j%5 == 0 {
						f.Cancel()
					}
				}
			})
		}
		for i := range 2 {
			takers.Go(func() {
				<-begin
				for n := 0; ; n++ {
					over := closed.Load() // read before Next
					next := e.queue.Next()
					switch {
					case next == nil && over:
						return
					case next == nil:
						runtime.Gosched()
					case i == 0 && n%10 == 0:
						e.queue.Again(next)
					case next.Fail(errTaken):
						taken.Add(1)
					}
				}
			})
		}
		close(begin)
		for taken.Load() < 20 {
			runtime.Gosched()
		}
		e.queue.Close(ErrClosed)
		atClose := added.Load()
		closed.Store(true)
		wg.Wait()
		takers.Wait()
		if n := added.Load(); n != atClose {
			t.Fatalf("onTask was called %d times before Close returned, and then %d times", atClose, n-atClose)
		}
		failed := int64(0)
		for _, f := range slices.Concat(futures[0][:], futures[1][:], futures[2][:], futures[3][:]) {
			switch _, err := f.Result(t.Context()); {
			case errors.Is(err, errTaken):
				failed++
			case !errors.Is(err, ErrClosed) && !errors.Is(err, ErrCanceled):
				t.Fatalf("a task has the error %v", err)
			}
		}
		if failed != taken.Load() {
			t.Fatalf("%d tasks were taken, and %d have failed with errTaken", taken.Load(), failed)
		}
	}
}

var errTaken = errors.New("taken")

// TestTaskQueue_NextDuringCompaction: while another goroutine compacts the
// queue, Next does not return nil until all tasks are taken.
func TestTaskQueue_NextDuringCompaction(t *testing.T) {
	for range 20 {
		e := newQueueExecutor(t, -1)
		const n = 5000
		for range n {
			Submit(t.Context(), e, nothing, 0)
		}
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					e.mu.Lock()
					e.queue.compactLocked()
					e.mu.Unlock()
				}
			}
		})
		for i := range n {
			if e.queue.Next() == nil {
				t.Errorf("Next returned nil, but %d tasks are left", n-i)
				break
			}
		}
		close(stop)
		wg.Wait()
	}
}
