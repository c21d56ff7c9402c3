package loop

import (
	"bytes"
	"fmt"
	"log/slog"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"concert"
)

const defaultStall = 100 * time.Millisecond

// StallReport describes a coroutine that holds the loop, so that no other
// coroutine runs.
type StallReport struct {
	Loop      string        // the name of the loop
	Coroutine string        // the name of the coroutine
	Spawned   string        // where it was started, as file:line
	For       time.Duration // how long it has held the loop so far, at least
	Stack     string        // where it is, the innermost call first; empty if the coroutine has continued in the meantime
}

// String describes the stall, and says what to do.
func (r *StallReport) String() string {
	return fmt.Sprintf("loop: %s has held the loop %q for %v, and no other coroutine runs: run long computations by Offload, and blocking calls by Block; it was started at %s and is at\n%s",
		r.Coroutine, r.Loop, r.For.Round(time.Millisecond), r.Spawned, r.Stack)
}

// watch looks now and then whether the loop goes on. It is armed when the baton
// is taken up, and disarmed when it finds it put down, so an idle loop costs
// nothing. The clock is read by it alone, rather than at each step. Guarded by
// Loop.mu.
type stallWatch struct {
	timer    *time.Timer
	armed    bool
	now      time.Duration // when it last looked, or was armed
	steps    uint64        // what it saw then
	since    time.Duration // when it first saw that number
	reported bool          // that step is
}

func (w *stallWatch) stop() {
	if w.timer != nil {
		w.timer.Stop()
	}
}

// looksPerStall is how often it looks in the time that is a stall.
const checksPerStall = 4

func (l *Loop) checkPeriod() time.Duration {
	if l.opts.Stall < 0 {
		return defaultStall / checksPerStall
	}
	return max(l.opts.Stall/checksPerStall, time.Millisecond)
}

// watchLocked arms the watch.
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

// look is the watch's function, on a goroutine of its own.
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
		w.since += late // the whole process was kept from running
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
		return // nobody wants to know any more
	}
	if failure := l.report(r); failure != nil && l.opts.OnStall != nil {
		concert.CallApart(0, func() bool { slog.Error("loop: Options.OnStall failed", "loop", r.Loop, "error", failure); return true })
	}
}

// report passes a report on, and returns how OnStall, or the handler of slog,
// failed.
func (l *Loop) report(r *StallReport) (failure error) {
	_, failure = concert.CallApart(0, func() bool {
		if l.opts.OnStall != nil {
			l.opts.OnStall(r)
			return true
		}
		slog.Warn("loop: a coroutine holds the loop: run long computations by Offload, and blocking calls by Block",
			"loop", r.Loop, "coroutine", r.Coroutine, "spawned", r.Spawned, "for", r.For, "stack", r.Stack)
		return true
	})
	return failure
}

// coarseLocked is the time of the loop, for what may be wrong by as much as a
// look of the watch.
func (l *Loop) coarseNowLocked() time.Duration {
	if l.opts.Virtual {
		return l.virtual
	}
	return l.watch.now
}

// culprit returns the stack of the goroutine that has the baton: of those of
// the loop, the one that runs a coroutine and is neither parked nor outside. A
// goroutine profile stops the world for much less time than a dump of all
// stacks. A visitor has come in by a portal, on a goroutine with other labels.
func (l *Loop) holderStack(external bool) string {
	var profile bytes.Buffer
	if pprof.Lookup("goroutine").WriteTo(&profile, 1) != nil {
		return ""
	}
	label := fmt.Sprintf("%q:%q", "loop.number", l.number)
	portalRun := functionName((*Portal).Run) + "+"
	// If its goroutine has got other labels meanwhile, it is one without.
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
				return "" // one of them is of another loop
			}
			found += stack
		}
		if found != "" {
			return found
		}
	}
	return ""
}

// holding returns the stack of a coroutine, from the record of a profile, or ""
// if that is of something else, or of one that does not have the baton.
func coroutineStack(record string) string {
	starts, waiting := startFunctions(), waitFunctions()
	var frames []stackFrame // the innermost first
	begun, waits := false, false
	for line := range strings.Lines(record) {
		f, ok := parseFrame(line)
		switch {
		case !ok || begun: // what is further out is no business of the coroutine's
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
		frames = frames[:n-1] // how it was called
	}
	var stack strings.Builder
	for _, f := range frames {
		fmt.Fprintf(&stack, "\t%s %s\n", f.function, f.position)
	}
	return stack.String()
}

// deepest is how many frames of a stack a profile has, at least, of one that it
// cuts off.
const maxProfileFrames = 100

// startFunctions returns the names of the functions that call the function of a
// coroutine.
func startFunctions() []string {
	return functionNames((*Task).run, (*Loop).runOnCaller, (*Portal).Run)
}

// waitFunctions returns the names of the functions in which a coroutine is that
// does not hold the scheduler lock.
func waitFunctions() []string {
	return functionNames(caller.parkLocked, (*Task).yield, (*Task).finish, (*Loop).acquireLocked,
		(*Task).reenterLoop, Block, (*releaser).Release, accept,
		(*conn).Read, (*conn).Write, (*servedConn).finish)
}

type stackFrame struct{ function, position string }

// frame reads a line of a profile: "# 0x4a1b2c main.spin+0x1c /src/main.go:12".
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
