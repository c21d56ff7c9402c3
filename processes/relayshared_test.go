package processes_test

import (
	"context"
	"errors"
	"testing"

	"concert"
	"concert/executor"
	"concert/processes"
)

var _ = concert.Register("processes_test.sumShared", func(_ context.Context, h concert.Shared[[]float64]) (sum float64, err error) {
	for _, n := range h.Value() {
		sum += n
	}
	return sum, nil
})

// TestPool_RelayShared: a pool must store a value of another process under
// the ID that the value has in that process. It must keep the value until
// all users have released it.
func TestPool_RelayShared(t *testing.T) {
	p, err := processes.New(2, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for name, n := range map[string]int{"small": 3, "large": 100_000} {
		t.Run(name, func(t *testing.T) {
			numbers := make([]float64, n)
			numbers[1] = 7
			_, value, err := executor.Prepare(sumNumbers, numbers)
			if err != nil {
				t.Fatal(err)
			}
			id := executor.SharedID{1, 2, byte(n)}
			var all []*executor.Stored
			for range 2 {
				stored, err := executor.RelayShared(t.Context(), p, id, value)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, stored)
			}
			// A handle as an argument is a byte string of CBOR: a head of eight
			// bytes, and the ID.
			arg := executor.Encoded{Bytes: append([]byte{0x58, 24, 1, 0, 0, 0, 0, 0, 0, 0}, id[:]...)}
			run := func() (any, error) {
				result, err := executor.Relay(t.Context(), p, executor.Call{Name: "processes_test.sumShared", Arg: arg, Shared: all[:1]}).Result(t.Context())
				if err != nil {
					return nil, err
				}
				return result.Plain()
			}
			for i := range 4 {
				if i == 2 {
					all[1].Release()
				}
				if got, err := run(); got != 7.0 || err != nil {
					t.Errorf("call %d: the sum is %v, %v; want 7", i, got, err)
				}
			}
			all[0].Release()
			if got, err := run(); err == nil {
				t.Errorf("after the last Release, the sum is %v, want an error", got)
			}
		})
	}
}

var sumNumbers = concert.Register("processes_test.sumNumbers", func(_ context.Context, all []float64) (float64, error) { return float64(len(all)), nil })

// TestPool_RelaySharedRefused: a pool must not store a value that
// Options.CheckShared refuses.
func TestPool_RelaySharedRefused(t *testing.T) {
	refused := errors.New("refused")
	p, err := processes.New(1, &processes.Options{CheckShared: func(executor.Encoded) error { return refused }})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := executor.RelayShared(t.Context(), p, executor.SharedID{1}, executor.Encoded{}); err != refused {
		t.Errorf("RelayShared() = %v, want the error of CheckShared", err)
	}
}
