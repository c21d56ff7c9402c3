package loop

import (
	"fmt"
	"strings"
	"time"
)

// Tree returns the loop's coroutines as text, one a line, each below the one in whose group it is: its
// name, where it was started, and what it does or waits for since when. Any goroutine may
// call it.
//
//	loop: 3 coroutines
//	main.run (app/main.go:31): waits in WithGroup for its children, 1.2s
//	    client 7 (app/main.go:40): is outside in Conn.Read, 3ms
//	    main.tick (app/main.go:35): waits in Sleep, 800ms
func (l *Loop) Tree() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d coroutines\n", l.opts.Name, l.live)
	l.eachLocked(func(t *Task, depth int) bool {
		fmt.Fprintf(&b, "%s%s (%s): %s\n", strings.Repeat("    ", depth), t.nameLocked(), shorten(t.place()), t.doesLocked())
		return true
	})
	return b.String()
}

// eachLocked calls fn for each coroutine of the loop, parents first, until it returns false.
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

func (t *Task) doesLocked() string {
	switch t.state {
	case running:
		return "runs"
	case ready:
		if !t.begun {
			return "is to begin"
		}
		return "is ready"
	case outside:
		return "is outside in " + t.op.String() + ", " + t.sinceLocked()
	case parked:
		return "waits in " + t.waitsLocked() + ", " + t.sinceLocked()
	}
	return "has ended"
}

// waitsLocked says what a parked coroutine waits for.
func (t *Task) waitsLocked() string {
	switch on := t.on.(type) {
	case *Group:
		return fmt.Sprintf("%s for its children", t.op)
	case *Task:
		return fmt.Sprintf("%s for %s", t.op, on.nameLocked())
	case *Mutex:
		if holder := on.holder.Load(); holder != nil {
			return fmt.Sprintf("%s, which %s holds", t.op, holder.nameLocked())
		}
	}
	return t.op.String()
}

func (t *Task) sinceLocked() string {
	return (t.loop.elapsed() - t.since).Round(time.Millisecond).String()
}
