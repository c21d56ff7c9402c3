package processes

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestRestarts_Pauses tests the rule for starting workers again as a table.
func TestRestarts_Pauses(t *testing.T) {
	const ms = time.Millisecond
	type step struct {
		what  string // "idle" or "task": a death of the newest generation; "old": of the generation before; "good"; "blame"
		pause time.Duration
	}
	for name, steps := range map[string][]step{
		"idle deaths": {{"idle", 20 * ms}, {"idle", 40 * ms}, {"idle", 80 * ms}, {"idle", 160 * ms}, {"idle", 320 * ms}, {"idle", 640 * ms},
			{"idle", time.Second}, {"idle", time.Second}},
		"deaths in tasks":         {{"task", 20 * ms}, {"task", 40 * ms}, {"task", 80 * ms}, {"task", 160 * ms}, {"task", 160 * ms}, {"task", 160 * ms}},
		"both":                    {{"task", 20 * ms}, {"idle", 40 * ms}, {"task", 80 * ms}, {"task", 160 * ms}, {"task", 320 * ms}},
		"many that die together":  {{"idle", 20 * ms}, {"old", 20 * ms}, {"old", 20 * ms}, {"idle", 40 * ms}},
		"a good one":              {{"idle", 20 * ms}, {"idle", 40 * ms}, {"good", 0}, {"idle", 20 * ms}},
		"a good one of before":    {{"idle", 20 * ms}, {"idle", 40 * ms}, {"good before", 40 * ms}, {"idle", 80 * ms}},
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
				case "good":
					r.healthy(r.generation)
				case "good before":
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

// TestWorker_IsGood: a worker counts as good if it has finished a call or was
// ready for long enough.
func TestWorker_IsGood(t *testing.T) {
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
				t.Errorf("isGood() = %v, want %v", got, c.want)
			}
		})
	}
}

// TestPool_EndsDuringPause: if the pool breaks or ends in the pause before the
// start of a worker, it starts none.
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
				p.restartLocked(0) // without a break, it would start a worker, which panics here
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
