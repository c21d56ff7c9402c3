package processes_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"concert"
	"concert/processes"
)

// gated is an argument whose encoding waits until its gate is open.
type gated struct{ Gate string }

var (
	gates   sync.Map // by name, a chan struct{}
	reached = make(chan struct{}, 10)
	pass    = concert.Register("processes_test.pass", func(context.Context, gated) (int, error) { return 1, nil })
)

func (g gated) MarshalBinary() ([]byte, error) {
	gate, _ := gates.Load(g.Gate)
	reached <- struct{}{}
	<-gate.(chan struct{})
	return nil, nil
}

func (g *gated) UnmarshalBinary([]byte) error { return nil }

// TestPool_StealsAfterEncoding: one worker becomes idle while a call is
// encoded for another worker. The other worker runs a slow call, so the idle
// worker must get the encoded call.
func TestPool_StealsAfterEncoding(t *testing.T) {
	sharedOrNot(t, func(t *testing.T, memory processes.Setting) {
		leftovers(t)
		for try := range 4 {
			p := newPool(t, 2, nil, memory)
			eventually(t, "the pool knows that calls are quick, and each worker has room for more than one call", func() bool {
				for _, err := range concert.MapUnordered(t.Context(), p, nop, numbers(500)) {
					if err != nil {
						t.Fatal(err)
					}
				}
				_, room, _ := p.Calls()
				return len(room) == 2 && min(room[0], room[1]) > 1
			})
			var stops [2]string
			var slow [2]*concert.Future[string]
			for i := range slow {
				stops[i] = pathIn(t.TempDir(), "stop")
				defer leave(stops[i], "")
				slow[i] = submit(t, p, misbehave, "wait for "+stops[i])
				eventually(t, "a slow call begins", func() bool { return slow[i].State() == concert.Running })
			}
			var late [2]*concert.Future[int]
			var open [2]chan struct{}
			for i, name := range []string{"first", "second"} { // each worker claims one of the calls
				open[i] = make(chan struct{})
				gates.Store(name, open[i])
				late[i] = submit(t, p, pass, gated{name})
				select {
				case <-reached:
				case <-time.After(20 * time.Second):
					t.Fatalf("try %d: no worker claims the %s call", try, name)
				}
			}
			leave(stops[try%2], "")
			slow[try%2].Result(t.Context())
			close(open[0])
			eventually(t, "the first call is encoded", func() bool { // the first call has run and its worker is idle, or the call waits behind the slow call
				calls, _, asleep := p.Calls()
				return late[0].State() == concert.Finished && slices.Contains(asleep, true) || slices.Contains(calls, 2)
			})
			close(open[1])
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			for i, f := range late {
				if _, err := f.Result(ctx); err != nil {
					t.Errorf("try %d: call %d has not run while the slow call runs: %v", try, i, err)
				}
			}
			cancel()
			leave(stops[1-try%2], "")
			slow[1-try%2].Result(t.Context())
		}
	})
}

type give struct {
	Size int
	Meet string
}

// giveOr returns Size bytes if Meet is empty. Otherwise it writes the file Meet
// and waits for its context to end.
var giveOr = concert.Register("processes_test.giveOr", func(ctx context.Context, g give) ([]byte, error) {
	if g.Meet == "" {
		return make([]byte, g.Size), nil
	}
	leave(g.Meet, "")
	<-ctx.Done()
	return nil, context.Cause(ctx)
})

// TestResult_BeforeSlowCall: if a frame has a quick call and then a slow
// call, the result of the quick call must arrive before the slow call ends.
// This must hold for results of all sizes.
func TestResult_BeforeSlowCall(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, &processes.Options{Grace: time.Minute})
	for range concert.Map(t.Context(), p, nop, numbers(1000)) { // after these quick calls, the pool sends many calls in one frame
	}
	for _, size := range []int{10, 1 << 10, 60 << 10, 70 << 10, 100 << 10, 120 << 10, 200 << 10} {
		t.Run(fmt.Sprint(size, " bytes"), func(t *testing.T) {
			ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Second, errors.New("the result did not arrive"))
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
		})
	}
}

// TestPool_StealsFromSlowWorker: if calls wait behind a slow call, an idle
// worker must run them.
func TestPool_StealsFromSlowWorker(t *testing.T) {
	t.Parallel()
	sharedOrNot(t, func(t *testing.T, memory processes.Setting) {
		leftovers(t)
		p := newPool(t, 2, nil, memory)
		for try := range 80 {
			for _, err := range concert.MapUnordered(t.Context(), p, nop, numbers(500)) { // quick calls
				if err != nil {
					t.Fatal(err)
				}
			}
			stop := pathIn(t.TempDir(), "stop")
			slow := submit(t, p, misbehave, "wait for "+stop)
			other := submit(t, p, misbehave, fmt.Sprint("sleep ", time.Duration(try%10)*300*time.Microsecond))
			time.Sleep(time.Duration(try%7) * 100 * time.Microsecond)
			var quick []*concert.Future[int]
			for i := range 4 {
				quick = append(quick, submit(t, p, nop, i))
			}
			for _, f := range quick {
				if _, err := f.Result(t.Context()); err != nil { // if no worker stole the call, it would wait behind the slow call forever
					t.Fatal(err)
				}
			}
			leave(stop, "")
			slow.Result(t.Context())
			other.Result(t.Context())
		}
	})
}
