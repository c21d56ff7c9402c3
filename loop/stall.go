package loop

import (
	"bytes"
	"fmt"
	"log/slog"
	"runtime/pprof"
	"strings"
	"time"
)

const defaultStall = 100 * time.Millisecond

// StallReport says that a coroutine holds the loop: no other has run for a while.
type StallReport struct {
	Loop      string        // its name
	Coroutine string        // who holds it
	Spawned   string        // where that was started, as file:line
	For       time.Duration // how long it has held the loop so far, at least
	Stack     string        // where it is, the innermost call first; empty if it went on meanwhile
}

// String says it in words, with what to do.
func (r *StallReport) String() string {
	return fmt.Sprintf("loop: %s has held the loop %q for %v, and no other coroutine runs: have Offload do what computes for long, and Block what blocks; it was started at %s and is at\n%s",
		r.Coroutine, r.Loop, r.For.Round(time.Millisecond), r.Spawned, r.Stack)
}

// watch looks now and then whether the loop goes on. It is armed when the baton is taken up, and
// disarmed when it finds it put down, so an idle loop costs nothing. The clock is read by it
// alone, rather than at each step. Guarded by Loop.mu.
type watch struct {
	timer    *time.Timer
	armed    bool
	now      time.Duration // when it last looked, or was armed
	steps    uint64        // what it saw then
	since    time.Duration // when it first saw that number
	reported bool          // that step is
}

func (w *watch) stop() {
	if w.timer != nil {
		w.timer.Stop()
	}
}

// looksPerStall is how often it looks in the time that is a stall.
const looksPerStall = 4

func (l *Loop) period() time.Duration {
	if l.opts.Stall < 0 {
		return defaultStall / looksPerStall
	}
	return max(l.opts.Stall/looksPerStall, time.Millisecond)
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
		w.timer = time.AfterFunc(l.period(), l.look)
	} else {
		w.timer.Reset(l.period())
	}
}

// look is the watch's function, on a goroutine of its own.
func (l *Loop) look() {
	l.mu.Lock()
	w := &l.watch
	if l.closed || !l.held {
		w.armed = false
		l.mu.Unlock()
		return
	}
	before := w.now
	w.now = time.Since(l.started)
	late := w.now-before > 2*l.period() // the whole process was kept from running
	if w.steps != l.steps || late {
		w.steps, w.since, w.reported = l.steps, w.now, false
	}
	w.timer.Reset(l.period())
	held := w.now - w.since
	if l.opts.Stall < 0 || w.reported || held < l.opts.Stall {
		l.mu.Unlock()
		return
	}
	w.reported = true
	t, step := l.current.Load(), l.steps
	r := &StallReport{Loop: l.opts.Name, Coroutine: t.nameLocked(), Spawned: t.origin.where(), For: held}
	l.mu.Unlock()

	stack := l.culprit()
	l.mu.Lock()
	if l.steps == step {
		r.Stack = stack
	}
	l.mu.Unlock()
	if l.opts.OnStall != nil {
		l.opts.OnStall(r)
		return
	}
	slog.Warn("loop: a coroutine holds the loop: have Offload do what computes for long, and Block what blocks",
		"loop", r.Loop, "coroutine", r.Coroutine, "spawned", r.Spawned, "for", r.For, "stack", r.Stack)
}

// coarseLocked is the time of the loop, for what may be wrong by as much as a look of the watch.
func (l *Loop) coarseLocked() time.Duration {
	if l.opts.Virtual {
		return l.virtual
	}
	return l.watch.now
}

// culprit returns the stack of the goroutine that has the baton: of those of the loop, the one
// that runs a coroutine and is neither parked nor in Block. A goroutine profile stops the world for
// much less time than a dump of all stacks.
func (l *Loop) culprit() string {
	var profile bytes.Buffer
	if pprof.Lookup("goroutine").WriteTo(&profile, 1) != nil {
		return ""
	}
	label := fmt.Sprintf("%q:%q", "loop.number", l.number)
	for record := range strings.SplitSeq(profile.String(), "\n\n") {
		var frames []stackFrame
		coroutine, waits := false, false
		ours := strings.Contains(record, label)
		for line := range strings.Lines(record) {
			f, ok := frame(line)
			if !ok {
				continue
			}
			switch f.function {
			case "concert/loop.(*Task).run", "concert/loop.(*Loop).enter":
				coroutine = true
			case "concert/loop.caller.parkLocked", "concert/loop.(*Task).leave", "concert/loop.(*Task).yield", "concert/loop.(*Loop).joinLocked", "concert/loop.(*Task).finish":
				waits = waits || !coroutine // else it is another loop's, in which this one runs in Block
			}
			if f.function == "concert/loop.(*Portal).Run" { // on somebody else's goroutine, with his labels
				ours, coroutine = true, true
			}
			if !coroutine {
				frames = append(frames, f)
			}
		}
		if !ours || !coroutine || waits {
			continue
		}
		for n := len(frames); n > 0 && strings.HasPrefix(frames[n-1].function, "concert/loop."); n-- {
			frames = frames[:n-1] // how it was called
		}
		var stack strings.Builder
		for _, f := range frames {
			fmt.Fprintf(&stack, "\t%s %s\n", f.function, f.place)
		}
		return stack.String()
	}
	return ""
}

type stackFrame struct{ function, place string }

// frame reads a line of a profile: "#	0x4a1b2c	main.spin+0x1c	/src/main.go:12".
func frame(line string) (stackFrame, bool) {
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
