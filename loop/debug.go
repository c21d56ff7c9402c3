package loop

import (
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"time"
)

// Tree returns the coroutines of the loop as text, one per line. A child is
// below the coroutine that owns its group. A line has the name of the
// coroutine, the position at which it was started, what it does or waits
// for, and how long it has done so. Any goroutine may call Tree.
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
		fmt.Fprintf(&b, "%s%s (%s): %s\n", strings.Repeat("    ", r.depth), r.name, shortPath(r.spawnedAt), r.describe())
	}
	return b.String()
}

// row is a line of the tree: a copy of fields that Loop.mu guards.
type row struct {
	depth           int
	name, spawnedAt string
	state           state
	started         bool
	op              op
	on              string // what the coroutine waits for, or ""
	since           time.Duration
}

func (t *Task) rowLocked(depth int) row {
	r := row{depth: depth, name: t.nameLocked(), spawnedAt: t.spawnedAt(), state: t.state, started: t.started, op: t.op, since: t.loop.elapsed() - t.since}
	if t.state == parked {
		r.on = t.describeTargetLocked()
	}
	return r
}

func (r *row) describe() string {
	switch since := r.since.Round(time.Millisecond); r.state {
	case running:
		return "runs"
	case ready:
		if !r.started {
			return "has not started"
		}
		return "is ready"
	case outside:
		return fmt.Sprintf("is outside in %s, %s", r.op, since)
	case parked:
		return fmt.Sprintf("waits in %s%s, %s", r.op, r.on, since)
	}
	return "has ended"
}

// describeTargetLocked returns what a parked coroutine waits for, as a text
// that follows the name of the function.
func (t *Task) describeTargetLocked() string {
	switch on := t.waitTarget.(type) {
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

// eachLocked calls fn for each coroutine of the loop, parents first, until fn
// returns false.
func (l *Loop) eachLocked(fn func(t *Task, depth int) bool) {
	for tc := l.root; tc != nil; tc = tc.nextSibling {
		if !tc.eachLocked(0, fn) {
			return
		}
	}
}

func (tc *taskContext) eachLocked(depth int, fn func(t *Task, depth int) bool) bool {
	if tc == &tc.task.ctx {
		if !fn(tc.task, depth) {
			return false
		}
		depth++
	}
	// The first child is the newest. The output begins with the oldest.
	child := tc.firstChild
	for child != nil && child.nextSibling != nil {
		child = child.nextSibling
	}
	for ; child != nil; child = child.prevSibling {
		if !child.eachLocked(depth, fn) {
			return false
		}
	}
	return true
}

// op identifies the function of this package that a coroutine has called. An op
// has only one byte, because each Task contains an op.
type op uint8

const (
	opRun op = iota
	opWithGroup
	opWithCancel
	opWithTimeout
	opWithDeadline
	opShield
	opNow
	opCurrent
	opYield
	opSleep
	opAfter
	opBlock
	opOffload
	opTaskWait
	opFutureResult
	opEventWait
	opMutexLock
	opMutexTryLock
	opSemaphoreAcquire
	opCondWait
	opCondLock
	opQueuePut
	opQueueGet
	opPortal
	opConn
	opConnRead
	opConnWrite
	opServe
)

// String returns the name of the function.
func (o op) String() string { return opNames[o] }

var opNames = [...]string{
	opRun:              "Run",
	opWithGroup:        "WithGroup",
	opWithCancel:       "WithCancel",
	opWithTimeout:      "WithTimeout",
	opWithDeadline:     "WithDeadline",
	opShield:           "Shield",
	opNow:              "Now",
	opCurrent:          "Current",
	opYield:            "Yield",
	opSleep:            "Sleep",
	opAfter:            "Group.After",
	opBlock:            "Block",
	opOffload:          "Offload",
	opTaskWait:         "Task.Wait",
	opFutureResult:     "Future.Result",
	opEventWait:        "Event.Wait",
	opMutexLock:        "Mutex.Lock",
	opMutexTryLock:     "Mutex.TryLock",
	opSemaphoreAcquire: "Semaphore.Acquire",
	opCondWait:         "Cond.Wait",
	opCondLock:         "Cond.Wait for its lock",
	opQueuePut:         "Queue.Put",
	opQueueGet:         "Queue.Get",
	opPortal:           "Portal for its Close",
	opConn:             "Conn",
	opConnRead:         "Conn.Read",
	opConnWrite:        "Conn.Write",
	opServe:            "Serve",
}

// origin describes the function of a coroutine and the site at which it was
// started.
type origin struct {
	function uintptr // the code pointer of the function, or 0
	site     uintptr // the program counter of the start, or 0

	once            sync.Once
	name, spawnedAt string // set by once
}

// codePointer returns the code pointer of a function.
func codePointer(fn any) uintptr { return reflect.ValueOf(fn).Pointer() }

// recordSite records the site that is the given number of stack frames above
// the caller.
func (o *origin) recordSite(skip int) {
	var pcs [1]uintptr
	runtime.Callers(skip+1, pcs[:])
	o.site = pcs[0]
}

// packagePath is the import path of this package, which depends on the name of
// the module.
var packagePath = reflect.TypeFor[Loop]().PkgPath()

// inPackage reports whether a function, given by its name in a stack, belongs
// to this package.
func inPackage(function string) bool { return strings.HasPrefix(function, packagePath+".") }

// functionName returns the name of a function or a method expression, as it
// appears in stacks.
func functionName(fn any) string { return runtime.FuncForPC(codePointer(fn)).Name() }

// functionNames returns the names of several functions.
func functionNames(fns ...any) []string {
	names := make([]string, len(fns))
	for i, fn := range fns {
		names[i] = functionName(fn)
	}
	return names
}

// describe returns the name of the function, as package.Function, and the site
// at which the coroutine was started, as file:line. If the site is unknown, it
// returns the position of the function instead.
func (o *origin) describe() (name, place string) {
	o.once.Do(func() { o.name, o.spawnedAt = o.describeFunction(), o.describeSite() })
	return o.name, o.spawnedAt
}

func (o *origin) describeFunction() string {
	f := runtime.FuncForPC(o.function)
	if f == nil {
		return "a coroutine"
	}
	name := f.Name()
	name = name[strings.LastIndexByte(name, '/')+1:]
	return strings.TrimSuffix(strings.ReplaceAll(name, "[...]", ""), "-fm")
}

func (o *origin) describeSite() string {
	if o.site != 0 {
		if f, _ := runtime.CallersFrames([]uintptr{o.site}).Next(); f.File != "" {
			return fmt.Sprintf("%s:%d", f.File, f.Line)
		}
	}
	if f := runtime.FuncForPC(o.function); f != nil {
		file, line := f.FileLine(o.function)
		return fmt.Sprintf("%s:%d", file, line)
	}
	return "unknown"
}
