package loop

import (
	"fmt"
	"strings"
	"time"
)

// Tree returns the loop's coroutines as text, one a line, each below the one in
// whose group it is: its name, where it was started, and what it does or waits
// for since when. Any goroutine may call it.
//
//	loop: 3 coroutines
//	main.run (app/main.go:31): waits in WithGroup for its children, 1.2s
//	    client 7 (app/main.go:40): is outside in Conn.Read, 3ms
//	    main.tick (app/main.go:35): waits in Sleep, 800ms
func (l *Loop) Tree() string {
	l.mu.Lock()
	rows := make([]row, 0, l.live)
	l.eachLocked(func(t *Task, depth int) bool {
		rows = append(rows, t.rowLocked(depth))
		return true
	})
	l.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d coroutines\n", l.opts.Name, len(rows))
	for _, r := range rows {
		fmt.Fprintf(&b, "%s%s (%s): %s\n", strings.Repeat("    ", r.depth), r.name, shorten(r.place), r.does())
	}
	return b.String()
}

// row is a coroutine in the tree, and what can be said of it without the lock.
type row struct {
	depth       int
	name, place string
	state       state
	begun       bool
	op          op
	on          string // what it waits for, or ""
	since       time.Duration
}

func (t *Task) rowLocked(depth int) row {
	r := row{depth: depth, name: t.nameLocked(), place: t.place(), state: t.state, begun: t.begun, op: t.op, since: t.loop.elapsed() - t.since}
	if t.state == parked {
		r.on = t.onLocked()
	}
	return r
}

func (r *row) does() string {
	switch since := r.since.Round(time.Millisecond); r.state {
	case running:
		return "runs"
	case ready:
		if !r.begun {
			return "is to begin"
		}
		return "is ready"
	case outside:
		return fmt.Sprintf("is outside in %s, %s", r.op, since)
	case parked:
		return fmt.Sprintf("waits in %s%s, %s", r.op, r.on, since)
	}
	return "has ended"
}

// onLocked says for what a parked coroutine waits, as the rest of a sentence.
func (t *Task) onLocked() string {
	switch on := t.on.(type) {
	case *Group:
		return " for its children"
	case *Task:
		return " for " + on.nameLocked()
	case *Mutex:
		if holder := on.holder.Load(); holder != nil {
			return ", which " + holder.nameLocked() + " holds"
		}
	}
	return ""
}

// eachLocked calls fn for each coroutine of the loop, parents first, until it
// returns false.
func (l *Loop) eachLocked(fn func(t *Task, depth int) bool) {
	for s := l.root; s != nil; s = s.right {
		if !s.eachLocked(0, fn) {
			return
		}
	}
}

func (s *scope) eachLocked(depth int, fn func(t *Task, depth int) bool) bool {
	if s == &s.task.ctx {
		if !fn(s.task, depth) {
			return false
		}
		depth++
	}
	// The newest is the first in the list.
	below := s.first
	for below != nil && below.right != nil {
		below = below.right
	}
	for ; below != nil; below = below.left {
		if !below.eachLocked(depth, fn) {
			return false
		}
	}
	return true
}
