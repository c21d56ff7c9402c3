package processes

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestRestarts_Pauses: after each step, the pause before the next start must
// have the length in the table.
func TestRestarts_Pauses(t *testing.T) {
	const ms = time.Millisecond
	type step struct {
		what  string // "idle" or "task": a death of the newest generation; "old": a death of the generation before; "healthy": a healthy worker; "blame"
		pause time.Duration
	}
	for name, steps := range map[string][]step{
		"idle deaths": {{"idle", 20 * ms}, {"idle", 40 * ms}, {"idle", 80 * ms}, {"idle", 160 * ms}, {"idle", 320 * ms}, {"idle", 640 * ms},
			{"idle", time.Second}, {"idle", time.Second}},
		"deaths in tasks":         {{"task", 20 * ms}, {"task", 40 * ms}, {"task", 80 * ms}, {"task", 160 * ms}, {"task", 160 * ms}, {"task", 160 * ms}},
		"both":                    {{"task", 20 * ms}, {"idle", 40 * ms}, {"task", 80 * ms}, {"task", 160 * ms}, {"task", 320 * ms}},
		"many that die together":  {{"idle", 20 * ms}, {"old", 20 * ms}, {"old", 20 * ms}, {"idle", 40 * ms}},
		"a healthy worker":        {{"idle", 20 * ms}, {"idle", 40 * ms}, {"healthy", 0}, {"idle", 20 * ms}},
		"an old healthy one":      {{"idle", 20 * ms}, {"idle", 40 * ms}, {"healthy before", 40 * ms}, {"idle", 80 * ms}},
		"a call that is to blame": {{"idle", 20 * ms}, {"idle", 40 * ms}, {"idle", 80 * ms}, {"blame", 80 * ms}, {"idle", 160 * ms}},
		"very many":               nil,
	} {
		t.Run(name, func(t *testing.T) {
			var r restarts
			if steps == nil {
				for range 10_000 {
					r.died(r.generation, false)
				}
				steps = []step{{"idle", time.Second}}
			}
			for i, s := range steps {
				before := r.unexplained
				switch s.what {
				case "idle":
					r.died(r.generation, false)
				case "task":
					r.died(r.generation, true)
				case "old":
					r.died(r.generation-1, false)
				case "healthy":
					r.healthy(r.generation)
				case "healthy before":
					r.healthy(r.generation - 1)
				case "blame":
					if r.blame(3); r.unexplained != 1 {
						t.Errorf("step %d: %d deaths are unexplained, want 1", i, r.unexplained)
					}
					continue
				}
				if got := r.pause(); got != s.pause {
					t.Errorf("step %d, %s: a pause of %v, want %v", i, s.what, got, s.pause)
				}
				if want := before + 1; s.what == "idle" && r.unexplained != want || s.what == "task" && r.unexplained != before {
					t.Errorf("step %d, %s: %d deaths are unexplained, and %d were before", i, s.what, r.unexplained, before)
				}
			}
		})
	}
}

// TestWorker_IsHealthy: a worker must count as healthy if it has finished a
// call, or has been ready for healthyAfter.
func TestWorker_IsHealthy(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		w    *worker
		want bool
	}{
		"never ready":     {&worker{}, false},
		"just ready":      {&worker{readySince: now}, false},
		"ready for long":  {&worker{readySince: now.Add(-healthyAfter)}, true},
		"finished a call": {&worker{readySince: now, total: 1}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.w.isHealthyLocked(); got != c.want {
				t.Errorf("isHealthyLocked() = %v, want %v", got, c.want)
			}
		})
	}
}

// TestPool_EndsDuringPause: the pool pauses before it starts a worker. If it
// breaks or ends during this pause, it must not start the worker.
func TestPool_EndsDuringPause(t *testing.T) {
	for name, end := range map[string]func(*Pool){
		"broken":        func(p *Pool) { p.broken = ErrBroken },
		"ended":         func(p *Pool) { p.ended = true; p.checkGoneLocked() },
		"broken before": func(*Pool) {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(1, Options{}, nil, defaultConfig())
				p.restarts.inRow = 3
				p.mu.Lock()
				if name == "broken before" {
					p.restarts.inRow, p.broken = 0, ErrBroken
				}
				p.restartLocked(0) // if the pool is not broken, this starts a worker, which panics in this test
				end(p)
				p.mu.Unlock()
				time.Sleep(time.Hour)
				synctest.Wait()
				p.mu.Lock()
				defer p.mu.Unlock()
				if p.starting != 0 || len(p.restarts.paused) != 0 || len(p.all) != 0 {
					t.Errorf("%d workers start, %d pauses, %d workers; want none", p.starting, len(p.restarts.paused), len(p.all))
				}
			})
		})
	}
}
