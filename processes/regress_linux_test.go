package processes_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"concert"
	"concert/internal/frame"
	"concert/processes"
)

// Tests of what was once wrong.

var (
	// speakLate reports progress after it has returned.
	speakLate = concert.Register("processes_test.speakLate", func(ctx context.Context, d time.Duration) (int, error) {
		go func() {
			time.Sleep(d)
			concert.Progress(ctx, 1, 2)
		}()
		return 0, nil
	})
	// emigrate leaves its process group, and stays.
	emigrate = concert.Register("processes_test.emigrate", func(_ context.Context, group int) (int, error) {
		if err := syscall.Setpgid(0, group); err != nil {
			return 0, err
		}
		time.Sleep(time.Minute)
		return 0, nil
	})
	// forge writes its own result, and then what does not belong there.
	forge = concert.Register("processes_test.forge", func(context.Context, int) (int, error) {
		b := frame.AppendResult(nil, frame.Outcome{Value: frame.Payload{Kind: 13, Bytes: make([]byte, 8)}})
		syscall.Write(4, frame.AppendHello(b, frame.HelloBody{Version: frame.Version}))
		time.Sleep(time.Minute)
		return 0, nil
	})
	// prepareOnce prepares the first worker only; later ones take their time,
	// or fail.
	prepareOnce = concert.Register("processes_test.prepareOnce", func(_ context.Context, o onlyOnce) (int, error) {
		if f, err := os.OpenFile(o.Path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666); err == nil {
			return 0, f.Close()
		}
		time.Sleep(o.Later)
		return 0, errors.New("not again")
	})
	// napThenDie does that.
	napThenDie = concert.Register("processes_test.napThenDie", func(_ context.Context, d time.Duration) (int, error) {
		time.Sleep(d)
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		time.Sleep(time.Minute)
		return 0, nil
	})
	napSlowly = concert.Register("processes_test.napSlowly", func(_ context.Context, s slowArg) (int, error) { time.Sleep(s.Run); return 0, nil })
	failBadly = concert.Register("processes_test.failBadly", func(context.Context, int) (int, error) { return 0, &badError{} })
	takeExit  = concert.Register("processes_test.takeExit", func(context.Context, exitArg) (int, error) { return 0, nil })
)

type onlyOnce struct {
	Path  string
	Later time.Duration
}

// slowArg takes time to encode.
type slowArg struct{ Encode, Run time.Duration }

// encoding is told when a slowArg begins to be encoded.
var encoding = make(chan struct{}, 1)

func (s slowArg) MarshalBinary() ([]byte, error) {
	select {
	case encoding <- struct{}{}:
	default:
	}
	time.Sleep(s.Encode)
	return []byte(s.Run.String()), nil
}

func (s *slowArg) UnmarshalBinary(b []byte) (err error) {
	s.Run, err = time.ParseDuration(string(b))
	return err
}

// badError cannot be decoded.
type badError struct{}

func (*badError) Error() string                  { return "bad" }
func (*badError) MarshalBinary() ([]byte, error) { return []byte{1}, nil }
func (*badError) UnmarshalBinary([]byte) error   { panic("cannot be decoded") }

func init() { concert.RegisterErrorType[*badError]("processes_test.badError") }

// exitArg ends the goroutine that encodes it.
type exitArg struct{ N int }

func (exitArg) MarshalBinary() ([]byte, error) { runtime.Goexit(); return nil, nil }
func (*exitArg) UnmarshalBinary([]byte) error  { return nil }

// TestLateProgress: progress of a task that has ended affects no other task.
func TestLateProgress(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, &processes.Options{Observer: func(concert.Event) {}})
	if _, err := submit(t, p, speakLate, 10*time.Millisecond).Result(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := submit(t, p, nap, 100*time.Millisecond).Result(t.Context()); err != nil {
		t.Errorf("an innocent task: %q, %v", got, err)
	}
}

// TestTimeoutInBatch: the timeout of a Map's item holds although results of
// items before it come after it was seen to run.
func TestTimeoutInBatch(t *testing.T) {
	leftovers(t)
	n := 0
	p := newPool(t, 1, &processes.Options{Timeout: 200 * time.Millisecond, Grace: 20 * time.Millisecond, Observer: func(e concert.Event) {
		if e.Kind == concert.TaskFinished {
			if n++; n == 520 {
				time.Sleep(30 * time.Millisecond) // the pool falls behind
			}
		}
	}})
	naps := make([]time.Duration, 600)
	naps[599] = time.Hour
	last := error(nil)
	for _, err := range concert.Map(t.Context(), p, nap, slices.Values(naps)) {
		last = err
	}
	if !errors.Is(last, processes.ErrTimeout) {
		t.Errorf("the slow item: %v, want ErrTimeout", last)
	}
}

// TestTimeoutFollows: a task's timeout counts from its own start, whatever the
// one before it had left.
func TestTimeoutFollows(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, &processes.Options{Timeout: time.Minute, Grace: 10 * time.Millisecond})
	first, second := submit(t, p, nap, 50*time.Millisecond), submit(t, p, nap, 500*time.Millisecond)
	first.Result(t.Context())
	eventually(t, "the second is seen to run", func() bool { return second.State() != concert.Pending })
	if second.State() != concert.Running {
		t.Error("it was seen to run only when it had ended")
	}
}

// TestCancelOfOneThatRan: Cancel is not true of a task whose outcome is just
// being settled, though another task is being claimed.
func TestCancelOfOneThatRan(t *testing.T) {
	leftovers(t)
	var mu sync.Mutex
	finished := 0
	gates := []chan struct{}{make(chan struct{}), make(chan struct{})}
	at := make(chan int, 10)
	p := newPool(t, 1, &processes.Options{Observer: func(e concert.Event) {
		if e.Kind != concert.TaskFinished {
			return
		}
		mu.Lock()
		n := finished
		finished++
		mu.Unlock()
		if n < len(gates) {
			at <- n
			<-gates[n]
		}
	}})
	path := pathIn(t.TempDir(), "ran")
	submit(t, p, nap, 0)
	submit(t, p, nap, 50*time.Millisecond) // so that the first result comes alone
	f := submit(t, p, marked, mark{path, 7, 0})
	submit(t, p, nap, 0) // so that f is not the newest, which is told that it has begun
	<-at
	eventually(t, "it has run", func() bool { b, _ := os.ReadFile(path); return string(b) == "b7\ne7\n" })
	time.Sleep(50 * time.Millisecond) // and its result lies in the pipe
	close(gates[0])
	<-at // now it is out of the worker's table
	select {
	case <-encoding: // of another test
	default:
	}
	submit(t, p, napSlowly, slowArg{Encode: 300 * time.Millisecond})
	<-encoding
	if f.Cancel() {
		t.Error("Cancel() = true of a task that ran")
	}
	close(gates[1])
	if got, err := f.Result(t.Context()); got != 7 || err != nil {
		t.Errorf("its result: %d, %v", got, err)
	}
}

// TestLeaveWaitingMap: a Map can be left while its calls wait for a worker to
// be started.
func TestLeaveWaitingMap(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, &processes.Options{Grace: 50 * time.Millisecond, Init: processes.Initialize(prepareOnce, onlyOnce{pathIn(t.TempDir(), "first"), time.Minute})})
	pid, _ := submit(t, p, pidOf, 0).Result(t.Context())
	syscall.Kill(pid, syscall.SIGSTOP)
	eventually(t, "it is stopped", func() bool { return state(pid) == "T" })
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		time.Sleep(50 * time.Millisecond)
		syscall.Kill(pid, syscall.SIGKILL)
		time.Sleep(50 * time.Millisecond)
		cancel()
	}()
	last := error(nil)
	for _, last = range concert.Map(ctx, p, nop, numbers(10)) {
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("the Map ended with %v", last)
	}
}

// TestBrokenLater: calls that a leaving worker gives back to a broken pool
// fail.
func TestBrokenLater(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, &processes.Options{MaxTasks: 2, Init: processes.Initialize(prepareOnce, onlyOnce{Path: pathIn(t.TempDir(), "first")})})
	dies, waits := submit(t, p, napThenDie, 3*time.Second), submit(t, p, nop, 1)
	if _, err := submit(t, p, nop, 1).Result(t.Context()); !errors.Is(err, processes.ErrBroken) {
		t.Errorf("a task for which there is no worker: %v, want ErrBroken", err)
	}
	_, err := dies.Result(t.Context())
	died(t, err)
	if _, err := waits.Result(t.Context()); !errors.Is(err, processes.ErrBroken) {
		t.Errorf("the task behind it: %v, want ErrBroken", err)
	}
}

// TestClaimedAtTheEnd: calls that are claimed while their Map ends are
// canceled, although others of it are with a worker.
func TestClaimedAtTheEnd(t *testing.T) {
	leftovers(t)
	p := newPool(t, 2, &processes.Options{Grace: 500 * time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(150*time.Millisecond, cancel)
	for range concert.Map(ctx, p, napSlowly, func(yield func(slowArg) bool) {
		if yield(slowArg{0, time.Hour}) {
			time.Sleep(50 * time.Millisecond)
			yield(slowArg{200 * time.Millisecond, time.Hour})
		}
	}) {
	}
}

// TestShutdownWhileClaiming: a Shutdown ends although a call was being claimed
// when its grace was over.
func TestShutdownWhileClaiming(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, &processes.Options{Grace: 20 * time.Millisecond})
	f := submit(t, p, napSlowly, slowArg{300 * time.Millisecond, time.Hour})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.Shutdown(ctx); err == nil {
		t.Error("Shutdown() = nil")
	}
	if _, err := f.Result(t.Context()); err == nil {
		t.Error("the task has no error")
	}
}

// TestNoGrace: with a negative grace a worker that does not end is killed.
func TestNoGrace(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, &processes.Options{Grace: -1})
	pid, _ := submit(t, p, pidOf, 0).Result(t.Context())
	syscall.Kill(pid, syscall.SIGSTOP)
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

// TestEmigrant: a worker that has left its process group is killed all the
// same.
func TestEmigrant(t *testing.T) {
	leftovers(t)
	group, err := syscall.Getpgid(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	p := newPool(t, 1, &processes.Options{Timeout: 50 * time.Millisecond, Grace: 10 * time.Millisecond})
	_, err = submit(t, p, emigrate, group).Result(t.Context())
	if e := died(t, err); !errors.Is(e, processes.ErrTimeout) {
		t.Errorf("%v, want ErrTimeout", e)
	}
}

// TestForgery: a result and then something else in one write.
func TestForgery(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, &processes.Options{Grace: 50 * time.Millisecond})
	if _, err := submit(t, p, forge, 0).Result(t.Context()); err != nil {
		t.Errorf("what it says is its result: %v", err)
	}
}

// TestBadError: a decoder of errors that panics is no panic here.
func TestBadError(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, nil)
	if _, err := submit(t, p, failBadly, 0).Result(t.Context()); err == nil || err.Error() != "bad" {
		t.Errorf("error %v, want bad", err)
	}
	works(t, p)
}

// TestGoexitInMarshaler: an argument whose marshaler ends the goroutine costs
// its own task.
func TestGoexitInMarshaler(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, nil)
	if _, err := submit(t, p, takeExit, exitArg{}).Result(t.Context()); !errors.Is(err, concert.ErrGoexit) {
		t.Errorf("a Submit: %v, want ErrGoexit", err)
	}
	works(t, p)
	n := 0
	for _, err := range concert.Map(t.Context(), p, takeExit, slices.Values(make([]exitArg, 3))) {
		if n++; !errors.Is(err, concert.ErrGoexit) {
			t.Errorf("item %d of a Map: %v, want ErrGoexit", n, err)
		}
	}
	if n != 3 {
		t.Errorf("%d results of 3", n)
	}
	works(t, p)
	if err := p.Close(); err != nil {
		t.Error(fmt.Errorf("Close() = %w", err))
	}
}

// giveOr returns so many bytes; or it leaves a file and waits for its context
// to end.
var giveOr = concert.Register("processes_test.giveOr", func(ctx context.Context, g give) ([]byte, error) {
	if g.Meet == "" {
		return make([]byte, g.Size), nil
	}
	leave(g.Meet, "")
	<-ctx.Done()
	return nil, context.Cause(ctx)
})

type give struct {
	Size int
	Meet string
}

// TestResultDoesNotWait: a result of any size comes although the next task,
// which is in the worker already, takes long.
func TestResultDoesNotWait(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, &processes.Options{Grace: time.Minute})
	for range concert.Map(t.Context(), p, nop, numbers(1000)) { // its worker gets many at a time now
	}
	for _, size := range []int{10, 1 << 10, 60 << 10, 70 << 10, 100 << 10, 120 << 10, 200 << 10} {
		ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Second, errors.New("the result did not come"))
		path := pathIn(t.TempDir(), "met")
		inputs := make([]give, 50, 51)
		inputs[49].Size = size
		n := 0
		for got, err := range concert.Map(ctx, p, giveOr, slices.Values(append(inputs, give{Meet: path}))) {
			if err != nil || len(got) != inputs[n].Size {
				t.Errorf("result %d of %d bytes: %d, %v", n, inputs[n].Size, len(got), err)
				break
			}
			if n++; n == len(inputs) {
				read(t, path)
				break
			}
		}
		cancel()
	}
}

// The same with and without memory that is shared.
func sharedOrNot(t *testing.T, run func(t *testing.T)) {
	t.Run("shared", run)
	t.Run("unshared", func(t *testing.T) {
		t.Cleanup(processes.ShareMemory(nothingShared))
		run(t)
	})
}

// obedient is quick, and some of its calls wait for their context to end.
var obedient = concert.Register("processes_test.obedient", func(ctx context.Context, n int) (int, error) {
	if n%97 == 50 {
		<-ctx.Done()
		return n, context.Cause(ctx)
	}
	return n, nil
})

// TestTimeoutIsOnes: a call that runs for too long is the only one that fails
// for it.
func TestTimeoutIsOnes(t *testing.T) {
	sharedOrNot(t, func(t *testing.T) {
		leftovers(t)
		p := newPool(t, 1, &processes.Options{Timeout: 50 * time.Millisecond})
		n := 0
		for _, err := range concert.Map(t.Context(), p, obedient, slices.Values(upTo(500))) {
			if (err != nil) != (n%97 == 50) {
				t.Errorf("call %d: %v", n, err)
			}
			n++
		}
	})
}

func upTo(n int) (all []int) {
	for i := range n {
		all = append(all, i)
	}
	return all
}

// deaf is quick at first; later it does not heed the end of its context.
var deaf = concert.Register("processes_test.deaf", func(ctx context.Context, n int) (int, error) {
	if n < 400 {
		return n, nil
	}
	time.Sleep(4 * time.Millisecond)
	if ctx.Err() != nil {
		time.Sleep(time.Hour)
	}
	return n, nil
})

// TestGraceOfMap: when the context of a Map ends, whatever runs then is killed
// after the grace period, even if the pool learns a moment later that it has
// begun.
func TestGraceOfMap(t *testing.T) {
	sharedOrNot(t, func(t *testing.T) {
		leftovers(t)
		p := newPool(t, 1, &processes.Options{Grace: 20 * time.Millisecond, Observer: func(concert.Event) {
			time.Sleep(time.Millisecond) // it learns it late
		}})
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		for range concert.Map(ctx, p, deaf, slices.Values(upTo(10_000))) {
			if n++; n == 410 {
				cancel()
			}
		}
		cancel()
	})
}

// TestBehindSlow: what comes behind a slow call goes to a worker that has
// nothing to do.
func TestBehindSlow(t *testing.T) {
	sharedOrNot(t, func(t *testing.T) {
		leftovers(t)
		p := newPool(t, 2, nil)
		for try := range 80 {
			for _, err := range concert.MapUnordered(t.Context(), p, nop, numbers(500)) { // quick ones
				if err != nil {
					t.Fatal(err)
				}
			}
			stop := pathIn(t.TempDir(), "stop")
			slow := submit(t, p, misdeed, "wait for "+stop)
			other := submit(t, p, misdeed, fmt.Sprint("sleep ", time.Duration(try%10)*300*time.Microsecond))
			time.Sleep(time.Duration(try%7) * 100 * time.Microsecond)
			var quick []*concert.Future[int]
			for i := range 4 {
				quick = append(quick, submit(t, p, nop, i))
			}
			for _, f := range quick {
				if _, err := f.Result(t.Context()); err != nil { // never, behind the slow one
					t.Fatal(err)
				}
			}
			leave(stop, "")
			slow.Result(t.Context())
			other.Result(t.Context())
		}
	})
}

// lazyArg takes its time to be encoded.
type lazyArg struct{ Time time.Duration }

func (a lazyArg) MarshalCBOR() ([]byte, error) {
	time.Sleep(a.Time)
	return []byte{0x01}, nil
}

func (a *lazyArg) UnmarshalCBOR([]byte) error { return nil }

var sevens = concert.Register("processes_test.sevens", func(context.Context, lazyArg) ([]byte, error) {
	if manySevens == nil {
		manySevens = bytes.Repeat([]byte{7}, 1<<20)
	}
	return manySevens, nil
})

var manySevens []byte

// TestTrimAndClaim: memory is not given back under a call that was just being
// claimed.
func TestTrimAndClaim(t *testing.T) {
	leftovers(t)
	t.Cleanup(processes.Trim(5*time.Millisecond, 50*time.Millisecond))
	p := newPool(t, 1, nil)
	for try := range 5 {
		got, err := submit(t, p, sevens, lazyArg{20 * time.Millisecond}).Result(t.Context())
		if err != nil || len(got) != 1<<20 || bytes.Count(got, []byte{7}) != len(got) {
			t.Fatalf("try %d: %d sevens of %d, %v", try, bytes.Count(got, []byte{7}), len(got), err)
		}
	}
}
