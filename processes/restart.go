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

// One rule decides when the pool replaces a worker that has ended. The same
// rule applies to a process that the system could not start, and to a process
// that died: while it was idle, before it began a task, or in a task.
//
//   - A worker is healthy if it has finished a call, or has been ready for
//     healthyAfter. When a healthy worker ends, the pool starts the next one at
//     once.
//   - The pool counts the death of a worker that was not healthy. Each
//     counted death in a row doubles the pause before the next start. A
//     death in a task fails that task. The number of tasks thus limits the
//     number of such deaths. So the longest pause after such deaths is
//     short.
//   - After maxDeaths deaths in a row outside of tasks, the pool is broken if
//     no worker is active: all its tasks fail with the reason.
//
// A generation is all workers that the pool has started since the last counted
// death. If several workers of one generation die, the pool counts one death.
//
// The pool logs every death, see Options.Output.

const (
	maxDeaths    = 8                      // deaths in a row outside of tasks that break the pool
	firstPause   = 20 * time.Millisecond  // pause after the first counted death
	longPause    = time.Second            // maximum pause
	taskPause    = 160 * time.Millisecond // maximum pause if all deaths were in tasks
	healthyAfter = 10 * time.Second       // time after which an idle worker is healthy
)

// restarts counts the deaths of workers. The pool's mu guards it.
type restarts struct {
	generation  int                  // generation of the workers that the pool starts now
	inRow       int                  // number of counted deaths since a worker was healthy
	unexplained int                  // number of the deaths in inRow that happened outside of tasks
	replaced    int64                // number of workers that were started because another one had died
	paused      map[*time.Timer]bool // timers of the starts that are delayed by a pause
}

// pause returns the time to wait before the next start.
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

// healthy resets the counts after a worker of the given generation was
// healthy. It does nothing if a newer generation exists.
func (r *restarts) healthy(generation int) {
	if generation == r.generation {
		r.inRow, r.unexplained = 0, 0
	}
}

// died counts the death of a worker of the given generation that was not
// healthy. It does nothing if a newer generation exists.
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

// blame makes the last deaths count as one unexplained death, because one call
// may be the cause of all these deaths.
func (r *restarts) blame(deaths int) { r.unexplained = max(1, r.unexplained-deaths+1) }

// isHealthyLocked reports whether the worker is healthy.
func (w *worker) isHealthyLocked() bool {
	return w.total > 0 || !w.readySince.IsZero() && time.Since(w.readySince) >= healthyAfter
}

// workerDiedLocked counts the death of a worker, and replaces the worker. After
// too many deaths in a row outside of tasks, it breaks the pool.
func (p *Pool) workerDiedLocked(number, generation int, healthy, inTask bool, why error) {
	if healthy {
		p.restarts.healthy(generation)
	} else {
		p.restarts.died(generation, inTask)
	}
	if !p.ended && p.broken == nil {
		p.restarts.replaced++
	}
	p.refillLocked(number)
	if healthy || inTask || p.restarts.unexplained < maxDeaths || p.broken != nil || p.ended {
		return
	}
	if !slices.ContainsFunc(p.active, func(w *worker) bool { return w != nil }) {
		p.breakLocked(lazy.Errorf("%d workers in a row did not start or died without having finished a task; the last one: %w", p.restarts.unexplained, why))
		p.checkEndLocked()
	}
}

// restartLocked starts a worker as spawnLocked does, after the pause.
func (p *Pool) restartLocked(number int) {
	if p.ended || p.broken != nil {
		return
	}
	p.spawnAfterLocked(number, p.restarts.pause())
}

// spawnAfterLocked starts a worker as spawnLocked does, after a pause.
func (p *Pool) spawnAfterLocked(number int, pause time.Duration) {
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
			return // stopPausesLocked has stopped the timer
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

// refillLocked replaces the active worker that had the number id. If there
// is a standby worker, refillLocked gives the number to that worker, and
// starts a new standby worker. Otherwise refillLocked starts a worker with
// the number. If id is noNumber, it only starts a standby worker.
func (p *Pool) refillLocked(id int) {
	if n := len(p.standby); id != noNumber && !p.ended && n > 0 && p.active[id] == nil {
		w := p.standby[n-1]
		p.standby = p.standby[:n-1]
		p.activateLocked(w, id)
		id = noNumber
	}
	p.restartLocked(id)
}

// stopPausesLocked cancels the starts that are delayed by a pause.
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

// deathText returns the text of the attribute reason in a log record. It
// contains none of the other attributes.
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

// deathOf returns an error that describes the death of a worker that ran no
// task. The parameter before is the state that the worker had.
func (w *worker) deathOf(state *os.ProcessState, before workerState) error {
	when := "while it was leaving"
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
