package loop

import (
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"concert"
)

// DeadlockError reports that all coroutines of a loop waited, and nothing could
// wake one: no timer, no coroutine in [Block], no open [Portal]. All waits then
// fail with it. errors.Is finds [concert.ErrDeadlock] in it.
//
// The end of Run's context, or a cancel function that another goroutine calls,
// does not count as something that could wake a coroutine. A program that only
// waits for its cancellation must do so in Block.
type DeadlockError struct {
	mu    sync.Mutex
	waits []Wait // guarded by mu; the coroutines say where they wait when they are told
}

// Waits returns the waits of at most a hundred coroutines, parents first. It is
// complete when Run has returned.
func (e *DeadlockError) Waits() []Wait {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.waits)
}

// Wait describes a coroutine that waits.
type Wait struct {
	Coroutine string // its name
	Spawned   string // where it was started, as file:line
	For       string // what it waits for
	At        string // where, as file:line; empty if it has not had the time to say

	task *Task
}

// mostWaits is how many coroutines a DeadlockError tells of.
const maxWaits = 100

// Error names the coroutines, each on a line, a hundred at most.
func (e *DeadlockError) Error() string {
	var b strings.Builder
	b.WriteString("loop: deadlock: all coroutines wait, and nothing can wake them")
	for _, w := range e.Waits() {
		fmt.Fprintf(&b, "\n\t%s (%s) waits in %s", w.Coroutine, shortPath(w.Spawned), w.For)
		if w.At != "" {
			fmt.Fprintf(&b, " at %s", shortPath(w.At))
		}
	}
	return b.String()
}

// Is makes it concert.ErrDeadlock for errors.Is.
func (e *DeadlockError) Is(target error) bool { return target == concert.ErrDeadlock }

// shorten leaves of a file:line the last directory.
func shortPath(place string) string {
	dir, file := filepath.Split(place)
	return filepath.Join(filepath.Base(dir), file)
}

// stuckLocked reports, when nobody is ready, whether nothing can change that.
func (l *Loop) isStuckLocked() bool {
	return l.live > 0 && l.outside == 0 && len(l.listeners.byTarget) == 0 && l.openPortals == 0 && len(l.timers.heap) == 0
}

// breakLocked is called when the loop is stuck. It ends all waits, and reports
// whether there were any.
func (l *Loop) breakDeadlockLocked() bool {
	if l.deadlock == nil {
		l.deadlock = new(DeadlockError)
		l.eachLocked(func(t *Task, _ int) bool {
			l.deadlock.waits = append(l.deadlock.waits, Wait{Coroutine: t.nameLocked(), Spawned: t.spawnedAt(), For: t.op.String() + t.describeTargetLocked(), task: t})
			return len(l.deadlock.waits) < maxWaits
		})
		l.root.endLocked(l.deadlock)
		if l.ready.n > 0 {
			return true
		}
	}
	// What is left is shielded.
	l.eachLocked(func(t *Task, _ int) bool {
		l.wakeLocked(t, l.deadlock)
		return true
	})
	return l.ready.n > 0
}

// locate is called by a coroutine that was woken by the error, to say where it
// waited.
func (e *DeadlockError) recordSite(t *Task) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range e.waits {
		if w := &e.waits[i]; w.task == t {
			w.task = nil
			var pcs [16]uintptr
			frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
			for {
				f, more := frames.Next()
				if !inPackage(f.Function) {
					w.At = fmt.Sprintf("%s:%d", f.File, f.Line)
					return
				}
				if !more {
					return
				}
			}
		}
	}
}
