package executor

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"
)

// TestSample: the weights of the timed tasks add up to the number of all
// tasks. This holds even if workers sleep between tasks, and if many
// carriers run few tasks.
func TestSample(t *testing.T) {
	g := NewWorkerGroup(noQueue{}, nil)
	const tasks = 200_000
	timed := func(slept func(i int) bool, perCarrier int) (total int64, n int) {
		random := rand.New(rand.NewPCG(1, 2))
		var s *carrier
		for i := range tasks {
			if i%perCarrier == 0 {
				s = &carrier{worker: newWorker(g, 0), begun: random.Uint32()}
			}
			s.slept = s.slept || slept(i)
			if weight := s.sample(); weight > 0 {
				total += weight
				n++
			}
		}
		return total, n
	}
	if total, n := timed(func(int) bool { return false }, tasks); total != tasks || n != tasks {
		t.Errorf("if tasks are long, %d are timed and count as %d, want all %d", n, total, tasks)
	}
	g.stats.short.Store(true)
	for name, c := range map[string]struct {
		slept      func(i int) bool
		perCarrier int
		most       int
	}{
		"busy":          {func(int) bool { return false }, tasks, tasks / sampleEvery},
		"sleeping":      {func(int) bool { return true }, tasks, tasks / (sampleEvery / afterSleep)},
		"sometimes":     {func(i int) bool { return i%5 == 0 }, tasks, tasks / 20},
		"many carriers": {func(int) bool { return false }, 1, tasks / 100},
	} {
		total, n := timed(c.slept, c.perCarrier)
		if total < tasks*95/100 || total > tasks*105/100 || n > c.most+1 {
			t.Errorf("%s: %d tasks are timed and count as %d; want at most %d, which count as about %d", name, n, total, c.most, tasks)
		}
	}
}

// TestRan: tasks are short while their mean run time is short.
func TestRan(t *testing.T) {
	st := newStatistics(1)
	for _, step := range []struct {
		took  time.Duration
		n     int
		short bool
	}{{time.Second, 1, false}, {100, 200, true}, {longTask, 100, true}, {time.Millisecond, 1, false}, {100, 100, true}} {
		for range step.n {
			st.ran(0, int64(step.took), 1)
		}
		if got := st.short.Load(); got != step.short {
			t.Errorf("after %d tasks of %v: short is %v, want %v", step.n, step.took, got, step.short)
		}
	}
}

// TestStamps: a queue keeps the stamps of its tasks when it removes canceled
// ones, and each stamp belongs to its task.
func TestStamps(t *testing.T) {
	st := newStatistics(1)
	for _, short := range []bool{false, true} {
		st.short.Store(short)
		var q segments
		q.init()
		tasks := newTasks(1000)
		stamps := map[*Task]stamp{}
		read := func(task *Task, at stamp) {
			if want, known := stamps[task]; !known || at != want {
				t.Fatalf("short tasks %v: a task has the stamp %d, want %d", short, at, want)
			}
		}
		for i, task := range tasks {
			if i%3 == 0 {
				q.pushLocked(task)
				stamps[task] = 0
			} else {
				q.pushAtLocked(task, st, 0)
				s, n := q.tail, q.tail.filled.Load()-1
				at := s.takeStamp(n)
				if at != 0 {
					s.setStamp(n, at)
				}
				stamps[task] = at
			}
			if i%7 == 0 {
				read(q.popAt())
			}
			if i%100 == 99 {
				q.keepLocked(func(task *Task) bool { return task != tasks[i] })
			}
		}
		n, counts := 0, int64(0)
		for _, at := range stamps {
			if at != 0 {
				n++
			}
			switch {
			case at > 0:
				counts++
			case at < 0:
				counts += sampleEvery
			}
		}
		if !short && n != 666 || short && (n == 0 || n > 20 || counts > 1300) {
			t.Errorf("short tasks %v: %d of 666 tasks have a stamp, which count as %d", short, n, counts)
		}
		for task, at := q.popAt(); task != nil; task, at = q.popAt() {
			read(task, at)
		}
	}
}

// TestStats_Sampled: for very many short tasks, the histograms have about as
// many tasks as have run.
func TestStats_Sampled(t *testing.T) {
	e := newQueueExecutor(t, -1)
	w := e.group.Join(0)
	const n = 50_000
	for range n {
		Submit(context.Background(), e, nothing, 0)
	}
	for range 2 { // in the second half, tasks are known to be short
		for range n / 2 {
			w.main.run(e.queue.Next())
		}
		for range n / 2 {
			Submit(context.Background(), e, nothing, 0)
		}
	}
	w.Serve(e.queue.Next)
	got := e.group.Stats()
	if got.Done != 2*n || got.Submitted != 2*n || got.Queued != 0 {
		t.Errorf("%d submitted, %d done, %d queued; want %d, all done", got.Submitted, got.Done, got.Queued, 2*n)
	}
	for name, h := range map[string]Histogram{"RunTime": got.RunTime, "QueueTime": got.QueueTime} {
		if c := h.Count(); c < 2*n*95/100 || c > 2*n*105/100 {
			t.Errorf("%s counts %d tasks of %d", name, c, 2*n)
		}
	}
	if !e.group.stats.short.Load() {
		t.Error("the tasks do not count as short")
	}
}
