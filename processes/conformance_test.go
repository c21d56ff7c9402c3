package processes_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"testing"

	"concert"
	"concert/executor"
	"concert/executortest"
	"concert/internal/isolated"
	"concert/processes"
	"concert/processes/internal/shm"
)

// TestConformance runs the conformance suite twice: with shared memory, and
// without it, as on a system that has no shared memory.
func TestConformance(t *testing.T) {
	t.Parallel()
	leftovers(t)
	isolated.Run(t,
		isolated.Test{Name: "shared", Split: firstHalf, Run: func(t *testing.T) { conformance(t, hooks(t), processes.ShareMemory(shm.New)) }},
		isolated.Test{Name: "unshared", Split: firstHalf, Run: func(t *testing.T) {
			conformance(t, nil, processes.ShareMemory(nothingShared), processes.SealMemory(nothingSealed))
		}})
}

// firstHalf matches the names of about half of the cases of the suite.
const firstHalf = "^[A-M]"

func nothingShared(string, int) ([]byte, *os.File, error) { return nil, nil, errors.ErrUnsupported }

func nothingSealed(string, []byte) (*os.File, error) { return nil, errors.ErrUnsupported }

func conformance(t *testing.T, hooks []executortest.Hook, memory ...processes.Setting) {
	executortest.Run(t, executortest.Traits{Kills: true, Expired: processes.ErrTimeout, Hooks: hooks}, func(c executortest.Config) concert.Executor {
		ex, err := processes.NewWith(c.Workers, &processes.Options{Queue: c.Queue, Grace: c.Grace, Timeout: c.Timeout, Observer: c.Observer}, memory...)
		if err != nil {
			t.Fatal(err)
		}
		return ex
	})
}

// hooks returns the options of a pool whose values are functions.
func hooks(t *testing.T) (all []executortest.Hook) {
	add := func(name string, set func(o *processes.Options, fn func()), trigger func(ctx context.Context, ex concert.Executor) (wait func())) {
		open := func(c executortest.Config, fn func()) concert.Executor {
			o := &processes.Options{Queue: c.Queue, Grace: c.Grace, Output: slog.New(slog.DiscardHandler)}
			set(o, fn)
			return newPool(t, c.Workers, o)
		}
		all = append(all, executortest.Hook{Name: name, Open: open, Trigger: trigger})
	}
	add("Options.Retry", func(o *processes.Options, fn func()) {
		o.Retry = func(*processes.WorkerError, int) bool { fn(); return true }
	}, func(ctx context.Context, ex concert.Executor) func() {
		one := concert.Submit(ctx, ex, exitWith, 3)
		return func() {
			<-one.Done()
			for range concert.Map(ctx, ex, exitWith, slices.Values([]int{3})) {
			}
		}
	})
	add("Options.Check", func(o *processes.Options, fn func()) {
		o.Check = func(executor.Encoded) error { fn(); return nil }
	}, func(ctx context.Context, ex concert.Executor) func() {
		name, arg, err := executor.Prepare(exitWith, 0)
		if err != nil {
			t.Error(err)
		}
		byContext := executor.Relay(ctx, ex, executor.Call{Name: name, Arg: arg})
		byCancel := executor.Relay(context.WithoutCancel(ctx), ex, executor.Call{Name: name, Arg: arg})
		return func() {
			<-byContext.Done()
			byCancel.Cancel()
			<-byCancel.Done()
		}
	})
	return all
}
