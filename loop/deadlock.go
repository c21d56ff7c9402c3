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

// DeadlockError reports a deadlock: all coroutines of a loop wait, and
// nothing can wake any of them. There is no timer, no coroutine in [Block]
// and no open [Portal]. In a deadlock, all waits fail with this error.
// errors.Is matches it with [concert.ErrDeadlock].
//
// A deadlock is reported even if the context of Run can end, or another
// goroutine can call a cancel function. A program that only waits for its
// cancellation must wait in Block.
type DeadlockError struct {
	mu    sync.Mutex
	waits []Wait // guarded by mu; a coroutine sets Wait.At when it is woken
}

// Waits returns the waits of up to 100 coroutines, parents first. Wait.At is
// set when the deadlock wakes the coroutine. So Wait.At may be empty if Run
// has not returned yet.
func (e *DeadlockError) Waits() []Wait {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.waits)
}

// Wait describes a coroutine that waits.
type Wait struct {
	Coroutine string // the name of the coroutine
	Spawned   string // where the coroutine was started, as file:line
	For       string // what the coroutine waits for
	At        string // where the coroutine waits, as file:line; empty if unknown

	task *Task
}

// maxWaits is the maximum number of coroutines in a DeadlockError.
const maxWaits = 100

// Error describes the waits, one per line, up to 100.
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

// Is reports whether target is concert.ErrDeadlock.
func (e *DeadlockError) Is(target error) bool { return target == concert.ErrDeadlock }

// shortPath shortens a file:line to the last directory and the file.
func shortPath(place string) string {
	dir, file := filepath.Split(place)
	return filepath.Join(filepath.Base(dir), file)
}

// isStuckLocked reports whether the loop is in a deadlock: no event can wake
// a coroutine. The caller has checked that no coroutine is ready.
func (l *Loop) isStuckLocked() bool {
	return l.live > 0 && l.outside == 0 && len(l.listeners.byTarget) == 0 && l.openPortals == 0 && len(l.timers.heap) == 0
}

// breakDeadlockLocked ends all waits with a DeadlockError. It reports whether
// there were waits to end.
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
	// The remaining waits are shielded from the end of the root context.
	l.eachLocked(func(t *Task, _ int) bool {
		l.wakeLocked(t, l.deadlock)
		return true
	})
	return l.ready.n > 0
}

// recordSite records the position at which the calling coroutine t waited.
// It is called when the error has woken t.
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
