package loopback_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"concert"
	"concert/internal/loopback"
)

// gate blocks methods that encode and decode values.
type gate struct {
	entered chan bool     // receives a value when a method begins to wait
	open    chan struct{} // closed to let all methods continue
}

// gates contains the gate of the running test.
var gates = make(chan *gate, 1)

func (g *gate) wait() { g.entered <- true; <-g.open }

func current() *gate { g := <-gates; gates <- g; return g }

// slowArgument waits when it is encoded. slowResult waits when it is decoded.
// Both happen in the submitter.
type (
	slowArgument struct{ slow bool }
	slowResult   struct{}
)

func (s slowArgument) MarshalBinary() ([]byte, error) {
	if s.slow {
		current().wait()
	}
	return []byte("argument"), nil
}

func (*slowArgument) UnmarshalBinary([]byte) error { return nil }

func (slowResult) MarshalBinary() ([]byte, error) { return []byte("result"), nil }

func (*slowResult) UnmarshalBinary([]byte) error { current().wait(); return nil }

func init() {
	concert.RegisterType[slowArgument]("loopback_test.slowArgument")
	concert.RegisterType[slowResult]("loopback_test.slowResult")
}

var answer = concert.Register("loopback_test.answer", func(_ context.Context, v any) (any, error) {
	if v == "slow" {
		return []any{slowResult{}}, nil
	}
	return v, nil
})

// TestUserCode_InInterface: if an interface contains a value whose methods
// block, no other task may be delayed.
func TestUserCode_InInterface(t *testing.T) {
	g := &gate{make(chan bool), make(chan struct{})}
	gates <- g
	defer func() { <-gates }()
	ex := loopback.New(1, loopback.Options{Grace: 10 * time.Millisecond})
	defer ex.Close()
	defer close(g.open)
	for what, arg := range map[string]any{"argument": map[string]any{"k": slowArgument{true}}, "result": "slow"} {
		f := concert.Submit(t.Context(), ex, answer, arg)
		<-g.entered
		if n, err := concert.Submit(t.Context(), ex, plusOne, 1).Result(t.Context()); n != 2 || err != nil {
			t.Errorf("%s: another task = %d, %v", what, n, err)
		}
		f.Cancel()
		if _, err := f.Result(t.Context()); !errors.Is(err, concert.ErrCanceled) {
			t.Errorf("%s: %v; want ErrCanceled", what, err)
		}
		n := 0
		for _, err := range concert.MapUnordered(t.Context(), ex, answer, slices.Values([]any{arg, 1, "x", slowArgument{}})) {
			if n++; n == 1 {
				<-g.entered
			}
			if err != nil {
				t.Errorf("%s: an item of a Map: %v", what, err)
			}
			if n == 3 {
				break
			}
		}
	}
}
