package executortest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"concert"
	"concert/executor"
)

// rogue is a value with methods that misbehave at one step. The field at is
// the step. The field how is one of misbehaviors, or "fails".
type rogue struct{ at, how string }

// The steps at which a rogue can misbehave.
const (
	encodingArgument = "encoding the argument" // runs in the submitter
	decodingArgument = "decoding the argument" // runs in the worker
	encodingResult   = "encoding the result"   // runs in the worker
	decodingResult   = "decoding the result"   // runs in the submitter
)

// hanging counts and releases the methods that hang in this process.
var hanging struct {
	sync.Mutex
	release chan struct{} // guarded by the mutex: closed by releaseHung
	inside  int           // guarded by the mutex: number of methods that hang
	over    bool          // guarded by the mutex: releaseHung was called in this case
}

// hang blocks until releaseHung is called. After that, it returns at once for
// the rest of the case. In a worker process, it never returns.
func hang() {
	hanging.Lock()
	if hanging.over {
		hanging.Unlock()
		return
	}
	if hanging.release == nil {
		hanging.release = make(chan struct{})
	}
	release := hanging.release
	hanging.inside++
	hanging.Unlock()
	<-release
}

// hangs returns the number of methods that hang in this process.
func hangs() int {
	hanging.Lock()
	defer hanging.Unlock()
	return hanging.inside
}

// releaseHung lets all methods that hang in this process return.
func releaseHung() {
	hanging.Lock()
	defer hanging.Unlock()
	if hanging.release != nil {
		close(hanging.release)
	}
	hanging.release, hanging.inside, hanging.over = nil, 0, true
}

// allowHangs makes hang block again, for the next case.
func allowHangs() {
	hanging.Lock()
	defer hanging.Unlock()
	hanging.over = false
}

func (r rogue) misbehave(at string) error {
	if r.at != at {
		return nil
	}
	misbehaveAs(r.how)
	if r.how == "fails" {
		return errors.New("rogue: refused")
	}
	return nil
}

// rogueArgument is a rogue that is sent to a worker. rogueResult is a rogue
// that a worker sends back.
type (
	rogueArgument struct{ rogue }
	rogueResult   struct{ rogue }
)

// MarshalBinary runs in the submitter.
func (r rogueArgument) MarshalBinary() ([]byte, error) { return r.encode(encodingArgument) }

// UnmarshalBinary runs in the worker.
func (r *rogueArgument) UnmarshalBinary(b []byte) error { return r.decode(decodingArgument, b) }

// MarshalBinary runs in the worker.
func (r rogueResult) MarshalBinary() ([]byte, error) { return r.encode(encodingResult) }

// UnmarshalBinary runs in the submitter.
func (r *rogueResult) UnmarshalBinary(b []byte) error { return r.decode(decodingResult, b) }

func (r rogue) encode(at string) ([]byte, error) {
	return []byte(r.at + "|" + r.how), r.misbehave(at)
}

func (r *rogue) decode(at string, b []byte) error {
	r.at, r.how, _ = strings.Cut(string(b), "|")
	return r.misbehave(at)
}

// oddError is an error with one method that misbehaves. The field how has
// the name of the method, a space, and the way in which it misbehaves.
type oddError struct{ how string }

func (e *oddError) misbehave(method string) {
	if how, ok := strings.CutPrefix(e.how, method+" "); ok {
		misbehaveAs(how)
	}
}

// Error misbehaves.
func (e *oddError) Error() string { e.misbehave("Error"); return "odd: " + e.how }

// Is misbehaves.
func (e *oddError) Is(error) bool { e.misbehave("Is"); return false }

// As misbehaves.
func (e *oddError) As(any) bool { e.misbehave("As"); return false }

// Unwrap misbehaves, or returns the error itself.
func (e *oddError) Unwrap() error {
	if e.how == "Unwrap circles" {
		return e
	}
	e.misbehave("Unwrap")
	return nil
}

var (
	misbehave = concert.Register("executortest.misbehave", func(_ context.Context, r rogueArgument) (rogueResult, error) { return rogueResult(r), nil })
	failOddly = concert.Register("executortest.failOddly", func(_ context.Context, how string) (int, error) {
		if how == "panic value" {
			panic(fmt.Errorf("wrapped: %w", &oddError{"Error panics"}))
		}
		return 0, &oddError{how}
	})
)

var userCodeCases = []testCase{
	{"MethodsFail", "if a method fails to encode or decode a value, only the task of this value fails", func(s *suite) {
		if s.Shared {
			return // values are passed as they are
		}
		ex := s.executor(Config{Workers: 1})
		for _, at := range []string{encodingArgument, decodingArgument, encodingResult, decodingResult} {
			for _, how := range []string{"panics", "exits", "fails"} {
				r := rogueArgument{rogue{at, how}}
				s.misbehaved(at, how, second(concert.Submit(s.ctx, ex, misbehave, r).Result(s.ctx)))
				must[int](s)(concert.Submit(s.ctx, ex, square, 2).Result(s.ctx))
				n, failed := 0, 0
				for _, err := range concert.MapUnordered(s.ctx, ex, misbehave, slices.Values([]rogueArgument{{}, r, {}, r, {}})) {
					if n++; err != nil {
						failed++
						s.misbehaved(at, how, err)
						if (at == encodingArgument || at == decodingResult) && !strings.Contains(err.Error(), "input 1") && !strings.Contains(err.Error(), "input 3") {
							s.Errorf("%s, %s: %v; want an error that names the input", at, how, err)
						}
					}
				}
				if n != 5 || failed != 2 {
					s.Errorf("%s, %s: a Map of 5 with 2 such values has %d results and %d errors", at, how, n, failed)
				}
			}
		}
	}},

	{"MethodsHang", "if a method that encodes or decodes a value hangs, only the task of this value fails, when it is canceled", func(s *suite) {
		if s.Shared {
			return
		}
		defer releaseHung()
		ex := s.executor(Config{Workers: 1, Grace: 20 * time.Millisecond})
		for i, at := range []string{encodingArgument, decodingResult} {
			r := rogueArgument{rogue{at, "hangs"}}
			ctx, cancel := context.WithCancel(s.ctx)
			byContext := concert.Submit(ctx, ex, misbehave, r)
			byCancel := concert.Submit(s.ctx, ex, misbehave, r)
			s.eventually("both hang", func() bool { return hangs() == 2*i+2 })
			for range 10 {
				must[int](s)(concert.Submit(s.ctx, ex, square, 2).Result(s.ctx))
			}
			cancel()
			if _, err := byContext.Result(s.ctx); !errors.Is(err, context.Canceled) {
				s.Errorf("%s: %v; want the error of its context", at, err)
			}
			if byCancel.Cancel() != (at == encodingArgument) {
				s.Errorf("%s: Cancel does not report correctly whether the task had started", at)
			}
			if _, err := byCancel.Result(s.ctx); !errors.Is(err, concert.ErrCanceled) {
				s.Errorf("%s: %v after a Cancel; want ErrCanceled", at, err)
			}
		}
	}},

	{"MethodsHangInWorker", "if a method hangs in the worker, only its own task fails, when this task is canceled", func(s *suite) {
		if s.Foreign {
			return // values have no methods in the other language
		}
		defer releaseHung()
		ways := []string{decodingArgument, encodingResult}
		ex := s.executor(Config{Workers: len(ways), Grace: 20 * time.Millisecond})
		ctx, cancel := context.WithCancel(s.ctx)
		defer cancel()
		var results []func() error
		for _, at := range ways {
			var state func() concert.State
			if r := (rogueArgument{rogue{at, "hangs"}}); s.Shared {
				name, arg, err := executor.Prepare(misbehave, r)
				must[any](s)(nil, err)
				f := executor.Relay(ctx, ex, executor.Call{Name: name, Arg: arg})
				state, results = f.State, append(results, func() error { return second(f.Result(s.ctx)) })
			} else {
				f := concert.Submit(ctx, ex, misbehave, r)
				state, results = f.State, append(results, func() error { return second(f.Result(s.ctx)) })
			}
			s.eventually("the task runs", func() bool { return state() == concert.Running })
		}
		cancel()
		for i, result := range results {
			if err := result(); !errors.Is(err, context.Canceled) {
				s.Errorf("%s: %v; want the error of its context", ways[i], err)
			}
		}
		s.runsOtherTasks(ex)
	}},

	{"MethodsHangMap", "a value whose method does not return delays neither other calls of the Map nor the end of its loop", func(s *suite) {
		if s.Shared {
			return
		}
		defer releaseHung()
		ex := s.executor(Config{Workers: 1, Grace: 20 * time.Millisecond})
		for _, at := range []string{encodingArgument, decodingResult} {
			inputs := slices.Repeat([]rogueArgument{{}}, 20)
			inputs[0] = rogueArgument{rogue{at, "hangs"}}
			n := 0
			for _, err := range concert.MapUnordered(s.ctx, ex, misbehave, slices.Values(inputs)) {
				if err != nil {
					s.Errorf("%s: %v", at, err)
				}
				if n++; n == len(inputs)-1 {
					break
				}
			}
			if n != len(inputs)-1 {
				s.Errorf("%s: %d results of items that do not hang, want %d", at, n, len(inputs)-1)
			}
		}
	}},

	{"MethodsHangShutdown", "Shutdown returns even if methods of values do not return", func(s *suite) {
		if s.Shared {
			return
		}
		defer releaseHung()
		ex := s.executor(Config{Workers: 1, Grace: 20 * time.Millisecond})
		var futures []*concert.Future[rogueResult]
		for _, at := range []string{encodingArgument, decodingResult} {
			futures = append(futures, concert.Submit(s.ctx, ex, misbehave, rogueArgument{rogue{at, "hangs"}}))
		}
		mapped := make(chan error, 1)
		go func() {
			var last error
			for _, err := range concert.Map(s.ctx, ex, misbehave, slices.Values([]rogueArgument{{rogue{encodingArgument, "hangs"}}})) {
				last = err
			}
			mapped <- last
		}()
		s.eventually("all hang", func() bool { return hangs() == 3 })
		ctx := s.ended(nil)
		var failure *concert.ShutdownError
		if err := ex.Shutdown(ctx); !errors.As(err, &failure) {
			s.Errorf("Shutdown() = %v, want a ShutdownError", err)
		}
		for i, f := range futures {
			if _, err := f.Result(s.ctx); !errors.Is(err, context.Canceled) {
				s.Errorf("future %d: %v, want context.Canceled", i, err)
			}
		}
		if err := <-mapped; err == nil {
			s.Errorf("the Map ended without an error")
		}
	}},

	{"OddErrors", "if a method of an error fails, the received error lacks the result of this method, and the worker continues", func(s *suite) {
		if s.Shared {
			return // the caller receives the error itself
		}
		defer releaseHung()
		const hangs = 4 // the number of calls that hang; the executor waits for them at the same time
		ways := []string{"Error hangs", "Is hangs", "As hangs", "Unwrap hangs", "Error panics", "Error exits", "Is panics", "Is exits", "As panics", "Unwrap panics", "Unwrap circles", "panic value"}
		ex := s.executor(Config{Workers: hangs})
		var failed []*concert.Future[int]
		for _, how := range ways {
			failed = append(failed, concert.Submit(s.ctx, ex, failOddly, how))
		}
		for i, how := range ways {
			_, err := failed[i].Result(s.ctx)
			if err == nil || !strings.Contains(err.Error(), "odd") && !strings.Contains(err.Error(), "out of cheese") {
				s.Errorf("%s: %v; want an error with its text, or one that says how its method failed", how, err)
			}
			var remote *concert.RemoteError
			if how != "panic value" && (!errors.As(err, &remote) || remote.Type != "*executortest.oddError") {
				s.Errorf("%s: %#v; want a RemoteError of an oddError", how, err)
			}
		}
		for range 2 * hangs {
			must[int](s)(concert.Submit(s.ctx, ex, square, 2).Result(s.ctx))
		}
	}},
}

// misbehaved checks the error of a call whose methods failed.
func (s *suite) misbehaved(at, how string, err error) {
	s.Helper()
	if err == nil {
		s.Errorf("%s, %s: no error", at, how)
		return
	}
	ok := false
	switch how {
	case "panics":
		var p *concert.PanicError
		ok = errors.As(err, &p) && strings.Contains(err.Error(), "out of cheese")
	case "exits":
		ok = errors.Is(err, concert.ErrGoexit)
	case "fails":
		ok = strings.Contains(err.Error(), "rogue: refused") && strings.Contains(err.Error(), "executortest.misbehave")
	}
	if !ok {
		s.Errorf("%s, %s: %v", at, how, err)
	}
}

func second[T any](_ T, err error) error { return err }
