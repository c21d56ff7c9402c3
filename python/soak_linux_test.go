package python_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"concert"
	"concert/processes"
	"concert/python"
)

// interpreters returns the child processes of this process.
func interpreters(t *testing.T) (pids []int) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, stat := range stats {
		b, err := os.ReadFile(stat)
		if err != nil {
			continue // the process has ended
		}
		_, rest, _ := strings.Cut(string(b), ") ")
		if f := strings.Fields(rest); len(f) > 1 && f[1] == strconv.Itoa(os.Getpid()) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(stat)))
			pids = append(pids, pid)
		}
	}
	return pids
}

// TestSoak: the test kills interpreters at random times while tasks of all
// kinds run. Each task must settle with the right value or an expected
// error. After Close, no interpreter may be left.
func TestSoak(t *testing.T) {
	t.Run("threads", func(t *testing.T) {
		for _, threads := range []int{1, 4} {
			t.Run(fmt.Sprint(threads), func(t *testing.T) {
				t.Parallel()
				soak(t, threads)
			})
		}
	})
	for deadline := time.Now().Add(10 * time.Second); len(interpreters(t)) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("interpreters are left: %v", interpreters(t))
		}
	}
}

func soak(t *testing.T, threads int) {
	length := 5 * time.Second
	if testing.Short() {
		length = 2 * time.Second
	}
	p := newPool(t, 2, &python.Options{Threads: threads, MaxTasks: 500, Timeout: 2 * time.Second, Grace: 100 * time.Millisecond})
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	var tasks, died, canceled, failed, kills atomic.Int64
	echo := python.Func[[]byte, []byte]("tasks:echo")
	square := python.Func[int, int]("tasks:square")
	double := python.Func[[]float64, []float64]("tasks:twice")
	fail := python.Func[string, any]("tasks:fail")
	busy := python.Func[float64, int]("tasks:busy")
	pid := python.Func[python.None, int]("os:getpid")
	// fate counts an expected error, and fails the test for any other error.
	fate := func(err error) bool {
		if _, ok := errors.AsType[*processes.WorkerError](err); ok {
			died.Add(1)
			return true
		}
		if errors.Is(err, concert.ErrCanceled) {
			canceled.Add(1)
			return true
		}
		t.Errorf("unexpected error: %v", err)
		return false
	}
	var all sync.WaitGroup
	for seed := range uint64(4) {
		all.Go(func() {
			r := rand.New(rand.NewPCG(seed, 1))
			for ctx.Err() == nil {
				tasks.Add(1)
				switch r.IntN(6) {
				case 0:
					b := bytes.Repeat([]byte{byte(r.Uint32())}, 1<<r.IntN(21))
					if got, err := call(t, p, echo, b); err != nil {
						fate(err)
					} else if !bytes.Equal(got, b) {
						t.Errorf("%d bytes returned as %d others", len(b), len(got))
					}
				case 1:
					n := 0
					for got, err := range concert.Map(ctx, p, square, func(yield func(int) bool) {
						for i := range 200 {
							if !yield(i) {
								return
							}
						}
					}) {
						switch {
						case ctx.Err() != nil:
							return
						case err != nil:
							fate(err)
						case got != n*n:
							t.Errorf("square(%d) = %d", n, got)
						}
						n++
					}
					tasks.Add(int64(n))
				case 2:
					in := make([]float64, r.IntN(100_000))
					for i := range in {
						in[i] = float64(i)
					}
					got, err := call(t, p, double, in)
					if err != nil {
						fate(err)
						continue
					}
					for i := range got {
						if got[i] != 2*in[i] {
							t.Errorf("number %d of %d is %v", i, len(in), got[i])
							break
						}
					}
				case 3:
					if _, err := call(t, p, fail, "value"); errors.Is(err, python.Type("ValueError")) {
						failed.Add(1)
					} else {
						fate(err)
					}
				case 4:
					f := concert.Submit(ctx, p, busy, 0.01)
					time.Sleep(time.Duration(r.IntN(12)) * time.Millisecond)
					f.Cancel()
					if got, err := f.Result(t.Context()); err != nil && ctx.Err() == nil {
						fate(err)
					} else if err == nil && got != 7 {
						t.Errorf("busy() = %d", got)
					}
				case 5:
					if got, err := call(t, p, busy, float64(r.IntN(5))/1000); err != nil {
						fate(err)
					} else if got != 7 {
						t.Errorf("busy() = %d", got)
					}
				}
			}
		})
	}
	all.Go(func() {
		for ctx.Err() == nil {
			time.Sleep(time.Duration(50+rand.IntN(100)) * time.Millisecond)
			// Kill only workers that run tasks. If starting workers were
			// killed, there might never be a worker that runs tasks.
			if victim, err := call(t, p, pid, python.None{}); err == nil {
				syscall.Kill(victim, syscall.SIGKILL)
				kills.Add(1)
			}
		}
	})
	all.Wait()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	t.Logf("%d tasks, %d kills: %d died, %d canceled, %d failed", tasks.Load(), kills.Load(), died.Load(), canceled.Load(), failed.Load())
	if kills.Load() == 0 || canceled.Load() == 0 || failed.Load() == 0 {
		t.Error("no kill, no cancellation or no failure")
	}
}
