package tour

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"concert"
	"concert/goroutines"
	"concert/loop"
	"concert/processes"
)

// napTask is registered, so that it runs on any executor.
var napTask = concert.Register("nap", func(ctx context.Context, d time.Duration) (time.Duration, error) {
	err := napFor(ctx, d)
	return d, err
})

// napFor sleeps. It releases the lock of the executor, if there is one.
func napFor(ctx context.Context, d time.Duration) (err error) {
	concert.Release(ctx, func() {
		select {
		case <-time.After(d):
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	})
	return err
}

// showInterface runs the same code on three executors.
func showInterface(ctx context.Context, t *tour) error {
	portal := loop.Open(ctx, nil)
	defer portal.Close()
	isolated, err := processes.New(4, &processes.Options{Output: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer isolated.Close()
	threads := goroutines.New(4, nil)
	defer threads.Close()
	coroutines := goroutines.New(4, &goroutines.Options{Lock: portal})
	defer coroutines.Close()
	for _, on := range []struct {
		name string
		ex   concert.Executor
	}{{"goroutines", threads}, {"processes", isolated}, {"coroutines of a loop", coroutines}} {
		if err := showExecutor(ctx, t, on.name, on.ex); err != nil {
			return fmt.Errorf("on %s: %w", on.name, err)
		}
	}
	return nil
}

// showExecutor uses Submit, Map, AsCompleted and a wait with a timeout.
func showExecutor(ctx context.Context, t *tour, name string, ex concert.Executor) error {
	naps := []time.Duration{60 * time.Millisecond, 20 * time.Millisecond, 40 * time.Millisecond}
	begin := time.Now()
	got, err := collect(concert.Map(ctx, ex, napTask, slices.Values(naps)))
	if err != nil {
		return err
	}
	if !slices.Equal(got, naps) {
		return fmt.Errorf("a map returned %v for %v", got, naps)
	}
	mapped := time.Since(begin)

	var futures []*concert.Future[time.Duration]
	for _, d := range naps {
		futures = append(futures, concert.Submit(ctx, ex, napTask, d))
	}
	var order []string
	for f := range concert.AsCompleted(ctx, futures...) {
		d, err := f.Result(ctx)
		if err != nil {
			return err
		}
		order = append(order, fmt.Sprint(d.Milliseconds()))
	}

	long := concert.Submit(ctx, ex, napTask, time.Hour)
	soon, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	if _, err := long.Result(soon); !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("a wait of 10 ms for a task of an hour: %w", err)
	}
	long.Cancel()
	if _, err := long.Result(ctx); !errors.Is(err, context.Canceled) {
		return fmt.Errorf("a canceled task: %w", err)
	}
	t.measured("naps of 60, 20, 40 ms, mapped", mapped, "on "+name)
	t.noted("as completed", fmt.Sprintf("%s; a wait gave up after 10 ms", strings.Join(order, ", ")))
	return nil
}
