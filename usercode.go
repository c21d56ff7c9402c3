package concert

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"
)

// This file keeps methods of the program's types, which encode arguments and
// decode results, off the goroutines of remote executors. Such a method may
// panic, end its goroutine, or never return; then it costs its own call, and
// no other call waits.
//
//	Claim:  pending --> encoding --method returns--> pending, Queue.Again; the next Claim has the bytes
//	Settle: running ------------ --method returns--> finished
//
// Each call of such methods has two goroutines. One runs the methods. The other
// waits for it, and for whatever ends the call earlier: the end of its context,
// Limits.Timeout, or a Cancel. A method that has not returned by then is left
// behind, as no goroutine can be stopped from outside.
//
// Values of types without such methods are encoded by Claim and decoded by
// Settle, on the executor's own goroutine.

// Limits bound what a remote executor's calls do in this process: methods of
// the program that encode arguments and decode results.
type Limits struct {
	// Timeout bounds the methods of one value; zero or less means no bound.
	// Expired is the error of a call whose methods take longer.
	Timeout time.Duration
	Expired error
	// Grace is how long the methods that decode a result have after the call's
	// context has ended; negative counts as zero.
	Grace time.Duration
}

// userCode is one run of such methods.
type userCode struct {
	name string          // of the call's function
	ctx  context.Context // of the call
	// grace is how long the methods have when ctx has ended.
	grace time.Duration
	// settled, unless nil, receives when the call has settled by other means.
	settled <-chan struct{}
	// run calls the methods. It returns what is to be done with what they
	// returned; fail is called instead if they end otherwise. Both are called
	// by the goroutine that waits.
	run  func() (done func())
	fail func(error)
	// cancel cancels the call, as Batch.Cancel.
	cancel func(cause error) (notStarted bool)
}

// userCodes are those that run for a group.
type userCodes struct {
	mu      sync.Mutex
	running map[*userCode]bool // guarded by mu
}

// UserCode returns the names of the functions of calls whose argument is being
// encoded, or whose result is being decoded, by methods of the program. An
// executor has not drained while there are any. It is told of their end by
// [Queue.Dropped], and may call UserCode with its lock held.
func (g *WorkerGroup) UserCode() (names []string) {
	g.code.mu.Lock()
	defer g.code.mu.Unlock()
	for u := range g.code.running {
		names = append(names, u.name)
	}
	return names
}

// CancelUserCode cancels the calls that [WorkerGroup.UserCode] counts, for
// Shutdown. It returns how many had not started. They settle within
// Limits.Grace.
func (g *WorkerGroup) CancelUserCode(cause error) (notStarted int) {
	g.code.mu.Lock()
	running := slices.Collect(maps.Keys(g.code.running))
	g.code.mu.Unlock()
	for _, u := range running {
		if u.cancel(cause) {
			notStarted++
		}
	}
	return notStarted
}

// errLeft is wrapped by errors of methods that did not return in time.
var errLeft = errors.New("its methods did not return")

// runUserCode starts u.
func (g *WorkerGroup) runUserCode(u *userCode) {
	g.code.mu.Lock()
	if g.code.running == nil {
		g.code.running = make(map[*userCode]bool)
	}
	g.code.running[u] = true
	g.code.mu.Unlock()
	go func() {
		defer g.endUserCode(u)
		u.wait(g.Limits)
	}()
}

func (g *WorkerGroup) endUserCode(u *userCode) {
	g.code.mu.Lock()
	delete(g.code.running, u)
	g.code.mu.Unlock()
	g.queue.Dropped()
}

// wait runs the methods and acts on the first of their return and the end of
// the call.
func (u *userCode) wait(l Limits) {
	returned := make(chan func(), 1)
	go func() {
		done := func() { u.fail(ErrGoexit) }
		defer func() {
			if v := recover(); v != nil {
				err := NewPanicError(v)
				done = func() { u.fail(err) }
			}
			returned <- done
		}()
		done = u.run()
	}()
	var timeout <-chan time.Time
	if l.Timeout > 0 {
		t := time.NewTimer(l.Timeout)
		defer t.Stop()
		timeout = t.C
	}
	select {
	case done := <-returned:
		done()
		return
	case <-u.settled:
		return
	case <-timeout:
		u.fail(fmt.Errorf("%w within %v: %w", errLeft, l.Timeout, l.Expired))
		return
	case <-u.ctx.Done():
	}
	// Both may have happened: what they returned comes first.
	t := time.NewTimer(max(0, u.grace))
	defer t.Stop()
	select {
	case done := <-returned:
		done()
	case <-u.settled:
	case <-t.C:
		select {
		case done := <-returned:
			done()
		default:
			u.fail(fmt.Errorf("%w before the call's context ended: %w", errLeft, context.Cause(u.ctx)))
		}
	}
}

// pureCodec is a Codec that says for which types it calls methods of the
// program. Of another Codec, Encode and Decode count as such methods.
type pureCodec interface {
	RunsUserCode(t reflect.Type) bool
}

// encodeRunsUserCode reports whether to encode arg may call methods of the
// program.
func encodeRunsUserCode[In any](codec Codec, arg In) bool {
	always, depends := methodsOf[In](codec)
	if always || !depends {
		return always
	}
	return travel.HoldsMethods(reflect.ValueOf(&arg))
}

// decodeRunsUserCode reports whether to decode an Out may call methods of the
// program.
func decodeRunsUserCode[Out any](codec Codec) bool {
	always, depends := methodsOf[Out](codec)
	return always || depends && travel.KnowsMethods()
}

// methodsOf reports whether a T is encoded and decoded by methods of the
// program, or depending on what interfaces in it hold.
func methodsOf[T any](codec Codec) (always, depends bool) {
	switch any((*T)(nil)).(type) {
	case *int, *int64, *uint, *uint64, *float64, *bool, *string, *[]byte, *[]float64, *Encoded:
		return false, false // no Codec sees them
	}
	t := reflect.TypeFor[T]()
	if codec != nil {
		if p, ok := codec.(pureCodec); !ok || p.RunsUserCode(t) {
			return true, false
		}
	}
	return travel.Methods(t)
}
