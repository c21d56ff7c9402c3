// Package child is the worker's side of a pool of processes. A worker is the
// program itself, started again by the pool; processes.Main calls [Run] in it.
//
//	pipe of tasks ----> loop: begin, call the function, finish --> writer --> pipe of results
//	                      ^
//	pipe of control --> control: cancel calls, give calls back
//
// One goroutine reads calls and runs them sequentially. Another one reads the
// pipe of control, and notices the end of the pool while a call runs.
package child

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/signal"
	"sync"
	"time"

	"concert/executor"
	"concert/internal/frame"
	"concert/processes/internal/osproc"
	"concert/processes/internal/shm"
)

// Exit codes of a worker that ends by itself.
const (
	exitEnd      = 0   // the pool has no more calls for it
	exitBroken   = 111 // it could not be prepared, and has reported the reason to the pool
	exitProtocol = 112 // the pool sent a bad frame
	exitPoolGone = 113 // the pool has ended
)

// minErrorLimit is the size that an error may have in any case.
const minErrorLimit = 1 << 20

// ErrorLimit returns the maximum size in bytes of an encoded error, given the
// maximum size of a result.
func ErrorLimit(maxResult int64) int { return int(max(maxResult, minErrorLimit)) }

// ErrTooLarge is processes.ErrTooLarge. It is here because workers return it.
var ErrTooLarge = errors.New("processes: value too large")

// depth is how many pools are above this process.
var depth int

// Depth returns how many pools are above this process: 0 if it is not a worker.
func Depth() int { return depth }

// worker is this process.
type worker struct {
	setup   Setup
	in      *frame.Reader
	out     *writer
	journal *shm.Journal // nil: there is none
	arena   *shm.Arena   // nil: there is none
	ended   chan int     // receives the exit code

	// Used only by the goroutine of the method loop:
	scratch  []byte
	name     string // of the function of the last call
	function *executor.Function
	missing  error              // why there is no function of that name
	head     frame.CallHead     // of the current frame
	rest     []byte             // arguments of the current frame that are left
	parent   context.Context    // of the contexts of the frame's calls
	stop     context.CancelFunc // of parent's deadline; nil if it has none
	spare    *callContext       // of the last call, if it can be used again
	now      time.Duration      // when the last call ended, or 0 if the loop has waited since
	results  shm.Allocator      // results in the arena that the pool has not copied, as far as is known
	placed   uint64             // results in the arena, in total
	idle     *idleTimer

	mu        sync.Mutex
	id        frame.ID                  // guarded by mu, written by the loop: the current call, or the last one
	ctx       *callContext              // guarded by mu: of the current call; nil if none runs
	begun     time.Duration             // guarded by mu: when the current call began
	canceled  map[frame.ID]frame.Reason // guarded by mu: calls that have not begun
	givenBack map[uint32]uint32         // guarded by mu: by frame, the first call that was given back
}

var started = time.Now()

// uptime returns how long this process has run. It reads one clock; time.Now
// reads two.
func uptime() time.Duration { return time.Since(started) }

// Run runs the tasks of a pool until there are no more, given the value of
// EnvName. It returns the exit code of this process.
func Run(text string) int {
	w, files, err := open(text)
	if err != nil {
		fmt.Fprintln(os.Stderr, "processes:", err)
		return exitProtocol
	}
	hello := frame.HelloBody{Version: frame.Version}
	if w.journal != nil {
		hello.Flags = frame.Slots
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
	if setup.Sandbox != nil {
		if err := setup.Sandbox.CloseInherited(setup.Files); err != nil {
			return nil, nil, fmt.Errorf("cannot close inherited files: %w", err)
		}
	}
	files, err := osproc.OpenPassed(setup.Files)
	if err != nil {
		return nil, nil, err
	}
	// Ctrl-C is for the pool, which decides what its workers do then.
	signal.Ignore(os.Interrupt)

	w := &worker{
		setup: setup, idle: newIdleTimer(), id: frame.ID{Seq: math.MaxUint32}, ended: make(chan int, 2),
		canceled: make(map[frame.ID]frame.Reason), givenBack: make(map[uint32]uint32), scratch: make([]byte, 0, 4<<10),
	}
	depth = setup.Depth
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
