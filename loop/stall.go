package loop

import (
	"bytes"
	"fmt"
	"log/slog"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"concert/executor"
)

// defaultStall is the default of Options.Stall.
const defaultStall = 100 * time.Millisecond

// StallReport describes a coroutine that holds the loop for too long, so that
// no other coroutine runs.
type StallReport struct {
	Loop      string        // the name of the loop
	Coroutine string        // the name of the coroutine
	Spawned   string        // where the coroutine was started, as file:line
	For       time.Duration // the time for which the coroutine has held the loop so far
	Stack     string        // the stack of the coroutine, the innermost call first; empty if the coroutine has called an await before the stack was recorded
}

// String describes the stall, and says what to do.
func (r *StallReport) String() string {
	return fmt.Sprintf("loop: coroutine %s has held loop %q for %v, so no other coroutine runs: use Offload for long computations and Block for blocking calls; it was started at %s and is now at\n%s",
		r.Coroutine, r.Loop, r.For.Round(time.Millisecond), r.Spawned, r.Stack)
}

// stallWatch checks regularly whether the running coroutine has changed. Only
// these checks read the clock, because reading it at each step would be slow.
// The checks start when the scheduler lock is acquired. If a check finds the
// lock free, the checks stop until the next acquisition. So an idle loop uses
// no CPU time.
//
// Guarded by Loop.mu.
type stallWatch struct {
	timer    *time.Timer
	armed    bool
	now      time.Duration // the time of the last check, or of the call of watchLocked
	steps    uint64        // Loop.steps at the last check
	since    time.Duration // the first time at which a check found the present value of steps
	reported bool          // whether the stall of the current step was reported
}

func (w *stallWatch) stop() {
	if w.timer != nil {
		w.timer.Stop()
	}
}

// checksPerStall is the number of checks in the time Options.Stall.
const checksPerStall = 4

// checkPeriod is the time between two checks.
func (l *Loop) checkPeriod() time.Duration {
	if l.opts.Stall < 0 {
		return defaultStall / checksPerStall
	}
	return max(l.opts.Stall/checksPerStall, time.Millisecond)
}

// watchLocked starts the checks of the stallWatch, unless they run already.
func (l *Loop) watchLocked() {
	w := &l.watch
	if w.armed || l.closed {
		return
	}
	w.armed = true
	w.now = time.Since(l.started)
	w.steps, w.since, w.reported = l.steps, w.now, false
	if w.timer == nil {
		w.timer = time.AfterFunc(l.checkPeriod(), l.checkStall)
	} else {
		w.timer.Reset(l.checkPeriod())
	}
}

// The timer of the stallWatch calls checkStall on a separate goroutine.
func (l *Loop) checkStall() {
	l.mu.Lock()
	w := &l.watch
	if l.closed || !l.lockHeld {
		w.armed = false
		l.mu.Unlock()
		return
	}
	before := w.now
	w.now = time.Since(l.started)
	if w.steps != l.steps {
		w.steps, w.since, w.reported = l.steps, w.now, false
	} else if late := w.now - before - 2*l.checkPeriod(); late > 0 {
		w.since += late // the process did not run during this time
	}
	w.timer.Reset(l.checkPeriod())
	held := w.now - w.since
	if l.opts.Stall < 0 || w.reported || held < l.opts.Stall {
		l.mu.Unlock()
		return
	}
	w.reported = true
	t, step := l.current.Load(), l.steps
	external := t.external
	r := &StallReport{Loop: l.opts.Name, Coroutine: t.nameLocked(), Spawned: t.spawnedAt(), For: held}
	l.mu.Unlock()

	stack := l.holderStack(external)
	l.mu.Lock()
	if l.steps == step {
		r.Stack = stack
	}
	closed := l.closed
	l.mu.Unlock()
	if closed {
		return // Run has returned
	}
	if failure := l.report(r); failure != nil && l.opts.OnStall != nil {
		executor.CallIsolated(0, func() bool { slog.Error("loop: Options.OnStall failed", "loop", r.Loop, "error", failure); return true })
	}
}

// report passes a report to OnStall, or logs it. It returns the failure if
// OnStall or the handler of slog panicked.
func (l *Loop) report(r *StallReport) (failure error) {
	_, failure = executor.CallIsolated(0, func() bool {
		if l.opts.OnStall != nil {
			l.opts.OnStall(r)
			return true
		}
		slog.Warn("loop: a coroutine holds the loop: use Offload for long computations and Block for blocking calls",
			"loop", r.Loop, "coroutine", r.Coroutine, "spawned", r.Spawned, "for", r.For, "stack", r.Stack)
		return true
	})
	return failure
}

// coarseNowLocked returns the time of the loop. If this time is real,
// coarseNowLocked returns the time of the last check of the stallWatch,
// because reading the clock is slow.
func (l *Loop) coarseNowLocked() time.Duration {
	if l.opts.Virtual {
		return l.virtual
	}
	return l.watch.now
}

// holderStack returns the stack of the goroutine that holds the scheduler
// lock. No other goroutine of the loop runs a coroutine that is neither
// parked nor outside. The stack is from a goroutine profile, which stops all
// goroutines for a much shorter time than a dump of all stacks. The
// parameter external says that the holder entered through a portal. Such a
// goroutine does not have the labels of the loop.
func (l *Loop) holderStack(external bool) string {
	var profile bytes.Buffer
	if pprof.Lookup("goroutine").WriteTo(&profile, 1) != nil {
		return ""
	}
	label := fmt.Sprintf("%q:%q", "loop.number", l.number)
	portalRun := functionName((*Portal).Run) + "+"
	// First look for goroutines with the label of this loop. The program may
	// have replaced the labels. So if no goroutine has this label, look for
	// goroutines that have no label of any loop.
	for _, mine := range []func(record string) bool{
		func(record string) bool { return strings.Contains(record, label) },
		func(record string) bool { return !strings.Contains(record, `"loop.number"`) },
	} {
		found := ""
		for record := range strings.SplitSeq(profile.String(), "\n\n") {
			if external != strings.Contains(record, portalRun) || !external && !mine(record) {
				continue
			}
			stack := coroutineStack(record)
			if stack != "" && found != "" {
				return "" // ambiguous: one of the two stacks belongs to another loop
			}
			found += stack
		}
		if found != "" {
			return found
		}
	}
	return ""
}

// coroutineStack returns the stack of a coroutine, from a record of a goroutine
// profile. If the goroutine runs no coroutine, or a coroutine that does not
// hold the scheduler lock, it returns "".
func coroutineStack(record string) string {
	starts, waiting := startFunctions(), waitFunctions()
	var frames []stackFrame // the innermost first
	begun, waits := false, false
	for line := range strings.Lines(record) {
		f, ok := parseFrame(line)
		switch {
		case !ok || begun: // skip the callers of the coroutine
		case slices.Contains(starts, f.function):
			begun = true
		default:
			frames = append(frames, f)
			waits = waits || slices.Contains(waiting, f.function)
		}
	}
	if waits || !begun && len(frames) < maxProfileFrames {
		return ""
	}
	for n := len(frames); n > 0 && inPackage(frames[n-1].function); n-- {
		frames = frames[:n-1] // remove frames of this package that called the function of the coroutine
	}
	var stack strings.Builder
	for _, f := range frames {
		fmt.Fprintf(&stack, "\t%s %s\n", f.function, f.position)
	}
	return stack.String()
}

// maxProfileFrames is the minimum number of frames of a stack that the
// profile may have truncated.
const maxProfileFrames = 100

// startFunctions returns the names of the functions that call the function of a
// coroutine.
func startFunctions() []string {
	return functionNames((*Task).run, (*Loop).runOnCaller, (*Portal).Run)
}

// waitFunctions returns the names of the functions that a coroutine calls to
// wait without the scheduler lock.
func waitFunctions() []string {
	return functionNames(caller.parkLocked, (*Task).yield, (*Task).finish, (*Loop).acquireLocked,
		(*Task).reenterLoop, Block, (*releaser).Release, accept,
		(*conn).Read, (*conn).Write, (*servedConn).finish)
}

// stackFrame is one line of a stack.
type stackFrame struct{ function, position string }

// parseFrame parses a line of a goroutine profile:
//
//	# 0x4a1b2c main.spin+0x1c /src/main.go:12
func parseFrame(line string) (stackFrame, bool) {
	fields := strings.FieldsFunc(strings.TrimSpace(line), func(r rune) bool { return r == '\t' })
	if len(fields) < 4 || fields[0] != "#" || !strings.HasPrefix(fields[1], "0x") {
		return stackFrame{}, false
	}
	function := fields[2]
	if i := strings.LastIndex(function, "+0x"); i >= 0 {
		function = function[:i]
	}
	return stackFrame{function, fields[3]}, true
}
