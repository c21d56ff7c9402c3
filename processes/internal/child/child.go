// Package child is the worker's side of a pool of processes. The pool starts
// its own program again as a worker, and processes.Main calls [Run] there.
//
//	pipe of tasks ----> loop: begin, call the function, finish --> writer --> pipe of results
//	                      ^
//	pipe of control --> control: cancel calls, give calls back
//
// One goroutine reads calls and runs them sequentially. Another goroutine
// reads the control pipe, even while a call runs. When the process of the
// pool has ended, the control pipe ends, and the worker exits.
package child

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/signal"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"concert/executor"
	"concert/internal/frame"
	"concert/processes/internal/osproc"
	"concert/processes/internal/shm"
)

// Exit codes of a worker that ends by itself.
const (
	exitEnd      = 0   // the pool has no more calls for this worker
	exitBroken   = 111 // the worker could not be prepared, and has reported the reason to the pool
	exitProtocol = 112 // invalid data from the pool: the environment variable EnvName, a file, or a frame
	exitPoolGone = 113 // the process of the pool has ended, or results cannot be written
)

// minErrorLimit is the minimum of ErrorLimit.
const minErrorLimit = 1 << 20

// ErrorLimit returns the maximum size in bytes of an encoded error, given the
// maximum size of a result.
func ErrorLimit(maxResult int64) int { return int(max(maxResult, minErrorLimit)) }

// ErrTooLarge is the error that package processes exports as ErrTooLarge. It
// is in this package because the worker needs it, too.
var ErrTooLarge = errors.New("processes: value too large")

var depth int

// Depth returns the nesting level of this process in pools: 0 for a process
// that is not a worker, 1 for a worker of a pool in such a process, and so
// on.
func Depth() int { return depth }

// worker is the state of this process.
type worker struct {
	setup   Setup
	in      *frame.Reader
	out     *writer
	journal *shm.Journal // nil: there is none
	arena   *shm.Arena   // nil: there is none
	ended   chan int     // receives the exit code when the worker must exit
	reports atomic.Bool  // whether calls that begin from now on report their progress to the pool

	// Used only by the goroutine of worker.loop:
	scratch   []byte
	result    [8]byte            // the bytes of a result that is a number or a bool
	name      string             // name of the function of the last call
	function  *executor.Function // that function; nil if it is not registered
	missing   error              // why function is nil
	head      frame.CallHead     // head of the current frame
	isList    bool               // the current frame is a CallList: its arguments are in list, and not in rest
	rest      []byte             // encoded arguments of a Call that are not parsed yet
	list      executor.List      // arguments of a CallList that nextArg has not returned yet
	trace     string             // the text for distributed tracing of the next frame of calls, or ""
	parent    context.Context    // parent of the contexts of the frame's calls
	stop      context.CancelFunc // stops the timer of parent's deadline; nil without a deadline
	spare     *callContext       // context of the last call, if the next call can use this context
	now       time.Duration      // uptime when the loop last read the clock, or 0 if it has waited since
	unclocked int                // number of calls that have ended since the clock was read
	group     int                // maximum of unclocked
	results   shm.Allocator      // spans in the arena of results that the pool may not have copied
	placed    uint64             // total number of results that were written to the arena
	idle      *idleTimer
	shared    sharedValues

	mu        sync.Mutex
	id        frame.ID                  // guarded by mu, written by the loop: the current call, or the last one
	ctx       *callContext              // guarded by mu: context of the current call; nil if no call runs
	begun     time.Duration             // guarded by mu: uptime when the current call began, or earlier
	canceled  map[frame.ID]frame.Reason // guarded by mu: calls that have not begun
	givenBack map[uint32]uint32         // guarded by mu: by frame, the first call that was given back
}

// Run runs tasks of a pool until the pool has no more tasks for this worker.
// The parameter text is the value of the environment variable EnvName. Run
// returns the exit code of this process.
func Run(text string) int {
	w, files, err := open(text)
	if err != nil {
		fmt.Fprintln(os.Stderr, "processes:", err)
		return exitProtocol
	}
	hello := frame.HelloBody{Version: frame.Version, Flags: frame.Traces}
	if w.journal != nil {
		hello.Flags |= frame.Slots | frame.Lists
	}
	w.out.put(frame.AppendHello(nil, hello))
	w.out.flush()
	go w.control(files[2])
	go w.loop(true)
	return <-w.ended
}

// open prepares this process: it opens the files that the pool has passed, and
// maps the shared memory.
func open(text string) (*worker, []*os.File, error) {
	setup, err := ParseSetup(text)
	if err != nil {
		return nil, nil, err
	}
	names := setup.Files
	if setup.Shared != "" {
		names = append(slices.Clone(names), setup.Shared)
	}
	if setup.Sandbox != nil {
		if err := setup.Sandbox.CloseInherited(names); err != nil {
			return nil, nil, fmt.Errorf("cannot close inherited files: %w", err)
		}
	}
	all, err := osproc.OpenPassed(names)
	if err != nil {
		return nil, nil, err
	}
	files := all[:len(setup.Files)]
	// Ctrl-C must not end this process: the program of the pool handles the
	// signal.
	signal.Ignore(os.Interrupt)

	w := &worker{
		setup: setup, idle: newIdleTimer(), id: frame.ID{Seq: math.MaxUint32}, ended: make(chan int, 2),
		canceled: make(map[frame.ID]frame.Reason), givenBack: make(map[uint32]uint32), scratch: make([]byte, 0, 4<<10),
	}
	w.reports.Store(setup.Report)
	depth = setup.Depth
	if setup.Shared != "" {
		w.shared.socket = all[len(files)]
	}
	if len(files) > 3 {
		mem, err := shm.Map(files[3])
		files[3].Close()
		if err == nil {
			w.journal, err = shm.OpenJournal(mem)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("cannot use the journal: %w", err)
		}
	}
	if len(files) > 4 {
		mem, err := shm.Map(files[4])
		files[4].Close()
		if err != nil {
			return nil, nil, fmt.Errorf("cannot use the arena: %w", err)
		}
		w.arena = shm.NewArena(mem)
		w.results = w.arena.NewAllocator()
	}
	w.in = frame.NewReader(files[0], frame.MaxFrame)
	w.out = newWriter(files[1], w.journal)
	return w, files, nil
}
