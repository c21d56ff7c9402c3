package processes_test

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"concert"
	"concert/processes"
)

// TestStats_ReturnToZero: the test cancels tasks, ends Maps early, and kills
// workers. After that, no task may count as queued or running, and all
// submitted tasks must count as done.
func TestStats_ReturnToZero(t *testing.T) {
	t.Parallel()
	p := newPool(t, 2, &processes.Options{
		Queue: 8, Output: slog.New(slog.DiscardHandler),
		Retry: func(*processes.WorkerError, int) bool { return rand.IntN(2) == 0 },
	})
	over := make(chan struct{})
	go func() {
		defer close(over)
		for range 20 {
			time.Sleep(time.Duration(rand.IntN(10)) * time.Millisecond)
			for _, pid := range p.WorkerProcesses() {
				if one, err := os.FindProcess(pid); err == nil && rand.IntN(2) == 0 {
					one.Kill()
				}
			}
		}
	}()
	var submitters sync.WaitGroup
	for range 4 {
		submitters.Go(func() {
			var futures []*concert.Future[int]
			settle := func() {
				for _, f := range futures {
					if _, err := f.Result(t.Context()); err != nil && !errors.As(err, new(*processes.WorkerError)) {
						t.Error(err)
					}
				}
			}
			for {
				select {
				case <-over:
					settle()
					return
				default:
				}
				switch rand.IntN(4) {
				case 0:
					left := rand.IntN(100)
					for range concert.Map(t.Context(), p, square, slices.Values(make([]int, 80))) {
						if left--; left == 0 {
							break
						}
					}
				case 1:
					f := concert.Submit(t.Context(), p, nap, time.Duration(rand.IntN(3))*time.Millisecond)
					runtime.Gosched()
					f.Cancel()
					f.Result(t.Context())
				default:
					futures = append(futures, concert.Submit(t.Context(), p, square, 3))
				}
			}
		})
	}
	submitters.Wait()
	s := p.Stats()
	if s.Queued != 0 || s.Running != 0 || s.Waiting != 0 || s.Submitted != s.Done {
		t.Errorf("no task is left, and Stats has %d queued, %d running, %d waiting, %d submitted, %d done", s.Queued, s.Running, s.Waiting, s.Submitted, s.Done)
	}
	if s.Restarts == 0 {
		t.Error("no worker was restarted")
	}
}
