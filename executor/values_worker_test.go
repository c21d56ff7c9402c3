package executor_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"concert"
	"concert/executor"
	"concert/goroutines"
)

// stuck blocks the methods of a slowValue that hang.
var stuck atomic.Pointer[chan struct{}]

// slowValue is a value with methods that misbehave in the worker. at selects
// the method, and how selects the misbehavior.
type slowValue struct {
	at, how string
	arrived bool // in the worker
}

func (v slowValue) MarshalBinary() ([]byte, error) {
	if v.arrived {
		v.act("encode")
	}
	return []byte(v.at + " " + v.how), nil
}

func (v *slowValue) UnmarshalBinary(b []byte) error {
	v.at, v.how, _ = strings.Cut(string(b), " ")
	v.arrived = true
	v.act("decode")
	return nil
}

func (v *slowValue) act(at string) {
	if v.at != at {
		return
	}
	switch v.how {
	case "hang":
		<-*stuck.Load()
	case "panic":
		panic("slow value")
	case "goexit":
		runtime.Goexit()
	case "sleep":
		time.Sleep(lateTime / 2)
	}
}

const lateTime = time.Second

// awaitEnd returns its argument. If v.how is "sleep", it first waits until its
// context has ended.
var awaitEnd = concert.Register("concert_test.awaitEnd", func(ctx context.Context, v slowValue) (any, error) {
	if v.how == "sleep" {
		<-ctx.Done()
	}
	return v, nil
})

var _ = func() int { concert.RegisterType[slowValue]("concert_test.slowValue"); return 0 }()

// TestRelay_MethodsMisbehave: if methods that decode an argument or encode a
// result misbehave in a worker that is a goroutine, only their own call can
// fail, and the worker continues.
func TestRelay_MethodsMisbehave(t *testing.T) {
	for _, at := range []string{"decode", "encode"} {
		for how, check := range map[string]func(error) bool{
			"hang":   func(err error) bool { return errors.Is(err, context.DeadlineExceeded) },
			"panic":  func(err error) bool { return errors.As(err, new(*concert.PanicError)) },
			"goexit": func(err error) bool { return errors.Is(err, concert.ErrGoexit) },
			"sleep":  func(err error) bool { return err == nil },
		} {
			t.Run(at+" "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					release := make(chan struct{})
					defer close(release)
					stuck.Store(&release)
					ex := goroutines.New(1, nil)
					defer ex.Close()
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					what := map[string]string{"decode": "argument", "encode": "result"}[at]
					name, arg, err := executor.Prepare(awaitEnd, slowValue{at: at, how: how})
					if err != nil {
						t.Fatal(err)
					}
					begin := time.Now()
					f := executor.Relay(ctx, ex, executor.Call{Name: name, Arg: arg})
					got, err := f.Result(t.Context())
					if took := time.Since(begin); !check(err) || (how == "hang") != (took == time.Minute+lateTime) {
						t.Errorf("after %v: %v", took, err)
					}
					if err != nil && !strings.Contains(err.Error(), "concert: "+what+" of concert_test.awaitEnd: ") {
						t.Errorf("the error says %q", err)
					}
					if err == nil && len(got.Bytes) == 0 {
						t.Error("there is no result")
					}
					if n, err := concert.Submit(t.Context(), ex, func(context.Context, int) (int, error) { return 1, nil }, 0).Result(t.Context()); n != 1 || err != nil {
						t.Errorf("another task: %d, %v", n, err)
					}
				})
			})
		}
	}
}
