package processes

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"concert"
	"concert/executor"
	"concert/internal/lazy"
)

// One rule decides when the pool replaces a worker, however that worker ended:
// the system could not start it, or it died while it was idle, before it began
// a task, or in a task.
//
//   - A worker that finished a call, or was ready for provenAfter, was a good
//     one. The pool starts the next one at once.
//   - Any other death counts. Each death in a row doubles the pause before the
//     next start. A death in a task fails that task, so there are at most as
//     many as tasks, and their pause stays short.
//   - After maxDeaths deaths in a row outside of tasks, the pool is broken if
//     no worker is active: all its tasks fail, with the reason.
//
// A generation is the workers that the pool started since the last death that
// counted. If many workers of one generation die, that counts as one death.
//
// Every death is logged, see Options.Output.

const (
	maxDeaths   = 8                      // in a row and outside of tasks, which break the pool
	firstPause  = 20 * time.Millisecond  // before the second start in a row
	longPause   = time.Second            // the maximum
	taskPause   = 160 * time.Millisecond // the maximum after deaths in tasks only
	provenAfter = 10 * time.Second
)

// restarts counts the deaths of workers. The pool's mu guards it.
type restarts struct {
	generation  int // of the workers that are started now
	inRow       int // deaths that counted, since a worker was a good one
	unexplained int // how many of inRow were outside of tasks
	paused      map[*time.Timer]bool
}

// pause returns how long to wait before the next start.
func (r *restarts) pause() time.Duration {
	if r.inRow == 0 {
		return 0
	}
	longest := longPause
	if r.unexplained == 0 {
		longest = taskPause
	}
	return min(longest, firstPause<<min(r.inRow-1, 16))
}

// good resets the counts, because a worker of that generation was a good one.
func (r *restarts) good(generation int) {
	if generation == r.generation {
		r.inRow, r.unexplained = 0, 0
	}
}

// died counts the death of a worker of that generation that was not a good one.
func (r *restarts) died(generation int, inTask bool) {
	if generation != r.generation {
		return
	}
	r.generation++
	r.inRow++
	if !inTask {
		r.unexplained++
	}
}

// blame makes the last deaths, of which one call is suspected, count as one.
func (r *restarts) blame(deaths int) { r.unexplained = max(1, r.unexplained-deaths+1) }

// isGoodLocked reports whether the worker was a good one.
func (w *worker) isGoodLocked() bool {
	return w.total > 0 || !w.readySince.IsZero() && time.Since(w.readySince) >= provenAfter
}

// workerDiedLocked counts the death of a worker that the pool did not end, and
// starts another one for its number. Outside of tasks, many deaths in a row
// break the pool.
func (p *Pool) workerDiedLocked(number, generation int, good, inTask bool, why error) {
	if good {
		p.restarts.good(generation)
	} else {
		p.restarts.died(generation, inTask)
	}
	p.refillLocked(number)
	if good || inTask || p.restarts.unexplained < maxDeaths || p.broken != nil || p.ended {
		return
	}
	if !slices.ContainsFunc(p.active, func(w *worker) bool { return w != nil }) {
		p.breakLocked(lazy.Errorf("%d workers in a row did not start or died without having finished a task; the last one: %w", p.restarts.unexplained, why))
		p.checkEndLocked()
	}
}

// restartLocked starts a worker for a number, or a standby worker, after the
// pause.
func (p *Pool) restartLocked(number int) {
	if p.ended || p.broken != nil {
		return
	}
	pause := p.restarts.pause()
	if pause == 0 {
		p.spawnLocked(number)
		return
	}
	p.starting++
	var timer *time.Timer
	timer = time.AfterFunc(pause, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if !p.restarts.paused[timer] {
			return // it was stopped
		}
		delete(p.restarts.paused, timer)
		p.starting--
		if p.ended || p.broken != nil {
			p.checkGoneLocked()
			return
		}
		p.spawnLocked(number)
	})
	p.restarts.paused[timer] = true
}

// stopPausesLocked cancels the starts whose pause is not over.
func (p *Pool) stopPausesLocked() {
	for timer := range p.restarts.paused {
		timer.Stop()
		delete(p.restarts.paused, timer)
		p.starting--
	}
}

// logDeath logs the death of a worker. The caller must not hold mu, because
// handlers are user code.
func (p *Pool) logDeath(level slog.Level, number, pid int, task string, input *concert.Input, why error, deaths int, pause time.Duration) {
	logger := p.logger()
	if !logger.Enabled(context.Background(), level) {
		return
	}
	attrs := make([]slog.Attr, 0, 6)
	if number != noNumber {
		attrs = append(attrs, slog.Int("worker", number))
	}
	if pid != 0 {
		attrs = append(attrs, slog.Int("pid", pid))
	}
	if task != "" {
		attrs = append(attrs, slog.String("task", task))
	}
	if input != nil {
		attrs = append(attrs, inputAttrs(input)...)
	}
	attrs = append(attrs, slog.String("reason", deathText(why)), slog.Int("deaths", deaths), slog.Duration("pause", pause))
	logger.LogAttrs(context.Background(), level, "processes: a worker died", attrs...)
}

// deathText returns the attribute reason of a log record. It does not repeat
// the other attributes.
func deathText(why error) string {
	if e, ok := why.(*WorkerError); ok {
		why = deathReason{e}
	}
	return executor.ErrorText(why)
}

// deathReason is a WorkerError without the task and the worker in its text.
type deathReason struct{ *WorkerError }

// Error returns how the worker died.
func (r deathReason) Error() string { return r.how() }

// logger returns the logger for the events of the pool.
func (p *Pool) logger() *slog.Logger {
	if p.opts.Output != nil {
		return p.opts.Output
	}
	return slog.New(&guardedHandler{slog.Default().Handler(), &p.defaultLog})
}

// deathOf returns the error of a worker that died outside of a task.
func (w *worker) deathOf(state *os.ProcessState, before workerState) error {
	when := "at its end"
	switch before {
	case starting:
		when = "before it was ready"
	case standby:
		when = "while it was idle"
	case active:
		when = "while it ran no task"
	}
	if w.killCause != nil && before == starting {
		return lazy.Errorf("processes: a worker did not become ready: %w", w.killCause)
	}
	if w.killCause != nil {
		return lazy.Errorf("processes: a worker was killed %s: %w", when, w.killCause)
	}
	text := ""
	if r := w.newWorkerError("", state).reason(); r != "" {
		text = ": " + r
	}
	how := state.String()
	if state == nil {
		how = unknownExit
	}
	return fmt.Errorf("processes: a worker died %s: %s%s", when, how, text)
}
