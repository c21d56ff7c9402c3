package processes_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"concert"
	"concert/internal/race"
	"concert/processes"
)

var soakTime = flag.Duration("soak", 3*time.Second, "how long TestSoak lasts")

// soak is the state of TestSoak. It counts the tasks and the events.
type soak struct {
	t    *testing.T
	pool *processes.Pool

	tasks, large, huge                                          atomic.Int64
	kills, stops, exits, panics, hangs, cancels, deaths, mapped atomic.Int64
	pids                                                        sync.Map // the pids of the workers that ran tasks
}

// TestSoak: workers run tasks of all sizes and durations. At random times,
// workers are killed or stopped, crash, or are replaced. Every future must
// settle exactly once, with the right value or an expected error. No
// processes, files or goroutines may be left, and memory must not grow.
func TestSoak(t *testing.T) {
	leftovers(t)
	length := *soakTime
	s := &soak{t: t}
	s.pool = newPool(t, 3, &processes.Options{MaxTasks: 2000, Timeout: 500 * time.Millisecond, Grace: 50 * time.Millisecond})
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() { s.submit(ctx) })
	}
	all.Go(func() { s.maps(ctx) })
	all.Go(func() { s.kill(ctx) })
	var heaps []uint64
	all.Go(func() {
		for tick := time.NewTicker(length / 12); ; {
			select {
			case <-tick.C:
				heaps = append(heaps, residentSet(t))
			case <-ctx.Done():
				return
			}
		}
	})
	all.Wait()
	if err := s.pool.Close(); err != nil {
		t.Error(err)
	}

	pids := 0
	s.pids.Range(func(any, any) bool { pids++; return true })
	t.Logf("%d tasks, %d over 64 KiB, %d over 1 MiB, %d in Maps; %d workers; %d kills, %d stops, %d exits, %d panics, %d hangs, %d canceled, %d died with their worker; resident MiB %v",
		s.tasks.Load(), s.large.Load(), s.huge.Load(), s.mapped.Load(), pids, s.kills.Load(), s.stops.Load(), s.exits.Load(), s.panics.Load(), s.hangs.Load(), s.cancels.Load(), s.deaths.Load(), heaps)
	for what, n := range map[string]int64{
		"kills": s.kills.Load(), "stops": s.stops.Load(), "exits": s.exits.Load(), "panics": s.panics.Load(), "hangs": s.hangs.Load(),
		"cancellations": s.cancels.Load(), "large values": s.large.Load(), "huge values": s.huge.Load(), "Maps": s.mapped.Load(),
	} {
		if n == 0 {
			t.Errorf("there were no %s", what)
		}
	}
	if length >= time.Minute && (s.kills.Load()+s.exits.Load() < 50 || s.tasks.Load() < 50_000 || s.large.Load() < s.tasks.Load()/20) {
		t.Error("too few kills, tasks or large values for a soak test")
	}
	if n := len(heaps); n >= 9 && !race.Enabled {
		early, late := heaps[2]+heaps[3]+heaps[4], heaps[n-3]+heaps[n-2]+heaps[n-1]
		if late > early*3/2+3*32 {
			t.Errorf("resident memory grows: %v MiB", heaps)
		}
	}
}

// residentSet returns the resident memory of this process, in MiB, after a
// garbage collection.
func residentSet(t *testing.T) uint64 {
	runtime.GC()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Error(err)
		return 0
	}
	var size, resident uint64
	fmt.Sscan(string(b), &size, &resident)
	return resident * uint64(os.Getpagesize()) >> 20
}

// kill kills and stops workers at random.
func (s *soak) kill(ctx context.Context) {
	for ctx.Err() == nil {
		time.Sleep(time.Duration(50+rand.IntN(200)) * time.Millisecond)
		pids := children(s.t)
		if len(pids) == 0 {
			continue
		}
		if pid := pids[rand.IntN(len(pids))]; s.kills.Load() == 0 || s.stops.Load() > 0 && rand.IntN(4) > 0 {
			syscall.Kill(pid, syscall.SIGKILL)
			s.kills.Add(1)
		} else {
			// Because of the timeout, the pool kills a stopped worker that runs
			// a task. An idle worker continues after a second.
			syscall.Kill(pid, syscall.SIGSTOP)
			s.stops.Add(1)
			time.AfterFunc(time.Second, func() { syscall.Kill(pid, syscall.SIGCONT) })
		}
	}
}

// maps runs many Maps sequentially.
func (s *soak) maps(ctx context.Context) {
	for ctx.Err() == nil {
		i := 0
		for got, err := range concert.Map(context.Background(), s.pool, square, numbers(1000)) {
			switch {
			case err != nil:
				s.died("a Map", err)
			case got != i*i:
				s.t.Errorf("Map: result %d is %d", i, got)
			}
			i++
			if rand.IntN(5000) == 0 {
				break
			}
		}
		s.mapped.Add(int64(i))
	}
}

// died counts the death of a worker in a task. It fails the test if err is not
// a WorkerError.
func (s *soak) died(what string, err error) {
	if _, ok := errors.AsType[*processes.WorkerError](err); !ok {
		s.t.Errorf("%s: %v (%T)", what, err, err)
	}
	s.deaths.Add(1)
}

// submit submits tasks concurrently, and checks their outcomes.
func (s *soak) submit(ctx context.Context) {
	for ctx.Err() == nil {
		var wait []func()
		for range 50 {
			wait = append(wait, s.one())
		}
		for _, w := range wait {
			w()
		}
	}
}

// one submits a task, and returns a function that waits for it.
func (s *soak) one() (wait func()) {
	s.tasks.Add(1)
	switch n := rand.IntN(1000); {
	case n < 100:
		size := 64<<10 + rand.IntN(64<<10)
		if n < 5 {
			size = 1<<20 + rand.IntN(1<<20)
			s.huge.Add(1)
		}
		s.large.Add(1)
		b := bytes.Repeat([]byte{byte(n), byte(size)}, size/2)
		return outcome(s, echo, b, func(got []byte, err error) bool { return err == nil && bytes.Equal(got, b) })
	case n < 102:
		s.exits.Add(1)
		return outcome(s, misbehave, fmt.Sprint("exit ", n), func(string, error) bool { return false })
	case n < 104:
		s.panics.Add(1)
		return outcome(s, sink, 0, func(_ int, err error) bool {
			_, ok := errors.AsType[*concert.PanicError](err)
			return ok
		})
	case n == 104 && (s.hangs.Load() == 0 || rand.IntN(4) == 0):
		s.hangs.Add(1)
		return outcome(s, misbehave, "spin", func(string, error) bool { return false })
	case n < 200:
		return outcome(s, misbehave, fmt.Sprintf("sleep %dus", rand.IntN(3000)), func(got string, err error) bool { return got == "slept" && err == nil })
	case n < 250:
		return outcome(s, pidOf, 0, func(pid int, err error) bool {
			if err == nil {
				s.pids.Store(pid, true)
			}
			return err == nil
		})
	case n < 300:
		f := concert.Submit(context.Background(), s.pool, nop, n)
		time.AfterFunc(time.Duration(rand.IntN(2000))*time.Microsecond, func() { f.Cancel() })
		return settled(s, f, func(got int, err error) bool {
			if errors.Is(err, context.Canceled) {
				s.cancels.Add(1)
				return true
			}
			return got == n && err == nil
		})
	default:
		return outcome(s, square, n, func(got int, err error) bool { return got == n*n && err == nil })
	}
}

var sink = concert.Register("processes_test.sink", func(context.Context, int) (int, error) { panic(strings.Repeat("glug", 3)) })

func outcome[In, Out any](s *soak, fn func(context.Context, In) (Out, error), in In, right func(Out, error) bool) func() {
	return settled(s, concert.Submit(context.Background(), s.pool, fn, in), right)
}

// settled returns a function that waits for a future, and checks that it
// settles once, with the right outcome or the death of its worker.
func settled[Out any](s *soak, f *concert.Future[Out], right func(Out, error) bool) func() {
	var times atomic.Int32
	f.OnDone(context.Background(), func(context.Context, *concert.Future[Out]) { times.Add(1) })
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		got, err := f.Result(ctx)
		if ctx.Err() != nil {
			s.t.Errorf("%v never settles", f)
			return
		}
		if !right(got, err) {
			s.died(f.String(), err)
		}
		if _, err2 := f.Result(ctx); err2 != err || times.Load() > 1 {
			s.t.Errorf("%v has more than one outcome", f)
		}
	}
}
