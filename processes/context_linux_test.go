package processes_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"concert"
	"concert/processes"
)

// endsBy waits for the end of its context and returns whether the context
// ended with DeadlineExceeded. The field How of its argument says how endsBy
// waits: by the method Done, only by the method Err, or by Done of a derived
// context.
var endsBy = concert.Register("processes_test.endsBy", func(ctx context.Context, m waitArg) (string, error) {
	leave(m.Met, "")
	switch m.How {
	case "Err":
		for ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
	case "derived":
		below, cancel := context.WithCancel(ctx)
		defer cancel()
		ctx = below
	}
	<-ctx.Done()
	return fmt.Sprintf("%v, %v", ctx.Err() == context.DeadlineExceeded, errors.Is(context.Cause(ctx), context.DeadlineExceeded)), nil
})

// passing is a context. Its deadline passes when the test closes the channel
// passing.done.
type passing struct {
	context.Context
	done chan struct{}
}

func (p *passing) Done() <-chan struct{} { return p.done }

func (p *passing) Err() error {
	select {
	case <-p.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

type waitArg struct{ How, Met string }

// TestContext_EndsInWorker: in a worker, the context of a task must end with
// DeadlineExceeded after a deadline or a timeout, and with Canceled after a
// Cancel.
func TestContext_EndsInWorker(t *testing.T) {
	leftovers(t)
	for _, how := range []string{"Done", "Err", "derived"} {
		t.Run("Timeout, "+how, func(t *testing.T) {
			p := newPool(t, 1, &processes.Options{Timeout: 20 * time.Millisecond, Grace: time.Minute})
			if got, err := submit(t, p, endsBy, waitArg{how, pathIn(t.TempDir(), "met")}).Result(t.Context()); got != "true, true" || err != nil {
				t.Errorf("DeadlineExceeded: %v, %v", got, err)
			}
		})
		p := newPool(t, 1, &processes.Options{Grace: time.Minute})
		result := func(t *testing.T, ctx context.Context, do func(*concert.Future[string])) string {
			met := pathIn(t.TempDir(), "met")
			f := concert.Submit(ctx, p, endsBy, waitArg{how, met})
			read(t, met)
			do(f)
			got, err := f.Result(t.Context())
			if err != nil {
				t.Errorf("error %v", err)
			}
			return got
		}
		t.Run("a deadline, "+how, func(t *testing.T) {
			ctx := &passing{Context: t.Context(), done: make(chan struct{})}
			if got := result(t, ctx, func(*concert.Future[string]) { close(ctx.done) }); got != "true, true" {
				t.Errorf("DeadlineExceeded: %v", got)
			}
		})
		t.Run("a Cancel, "+how, func(t *testing.T) {
			if got := result(t, t.Context(), func(f *concert.Future[string]) { f.Cancel() }); got != "false, false" {
				t.Errorf("DeadlineExceeded: %v", got)
			}
		})
	}
}
