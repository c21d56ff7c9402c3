package processes_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"concert"
)

// gated is an argument that is encoded when its gate is opened.
type gated struct{ Gate string }

var (
	gates   sync.Map // of chan struct{}, by name
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

// TestBehindSlowLate: so does what was still being encoded for the worker of
// the slow call when the other one became idle.
func TestBehindSlowLate(t *testing.T) {
	sharedOrNot(t, func(t *testing.T) {
		leftovers(t)
		for try := range 4 {
			p := newPool(t, 2, nil)
			eventually(t, "both workers are known to be quick, and take more than one call", func() bool {
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
				slow[i] = submit(t, p, misdeed, "wait for "+stops[i])
				eventually(t, "a slow call begins", func() bool { return slow[i].State() == concert.Running })
			}
			var late [2]*concert.Future[int]
			var open [2]chan struct{}
			for i, name := range []string{"first", "second"} { // each worker takes one
				open[i] = make(chan struct{})
				gates.Store(name, open[i])
				late[i] = submit(t, p, pass, gated{name})
				select {
				case <-reached:
				case <-time.After(20 * time.Second):
					t.Fatalf("try %d: nobody takes the %s one", try, name)
				}
			}
			leave(stops[try%2], "")
			slow[try%2].Result(t.Context())
			close(open[0])
			eventually(t, "the first is past its gate", func() bool { // it has run and its worker rests, or it is behind the slow one
				calls, _, asleep := p.Calls()
				return late[0].State() == concert.Finished && slices.Contains(asleep, true) || slices.Contains(calls, 2)
			})
			close(open[1])
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			for i, f := range late {
				if _, err := f.Result(ctx); err != nil {
					t.Errorf("try %d: %d stays behind the slow one: %v", try, i, err)
				}
			}
			cancel()
			leave(stops[1-try%2], "")
			slow[1-try%2].Result(t.Context())
		}
	})
}
