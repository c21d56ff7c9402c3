package cluster

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"

	"concert"
	"concert/cluster/internal/wire"
	"concert/cluster/internal/worker"
	"concert/executor"
	"concert/internal/option"
)

// ServeOptions tunes a worker; nil means the zero value.
type ServeOptions struct {
	Access

	// Functions are the names of the functions that the worker offers. Nil
	// means all functions that are registered in this program. A function
	// that is only declared, see [executor.Declare], must be in this list,
	// because only the caller knows whether the executor has it. For
	// functions in Python, use [concert/python.Names].
	Functions []string

	// Slots is the maximum number of tasks that run concurrently, at most
	// 65,536. Zero means the Width of the executor.
	Slots int

	// Grace is the time for which running tasks may continue when the worker
	// stops. After this time, they are canceled, and go to another worker.
	// Serve waits for the canceled tasks, for at most the same time. Zero
	// means 30 seconds.
	Grace time.Duration

	// MaxBytes is the maximum size of the encoded arguments, results and shared
	// values that the worker holds at any time. A quarter of MaxBytes is for
	// messages, and the rest is for large values, which are stored in parts
	// outside the messages. Decoded values do not count. A task with a large
	// argument waits until there is memory for the argument, and tasks that
	// need less memory overtake it. If the argument is larger than the memory
	// for large values, the task starts when the other tasks use no large
	// values. Zero means 128 MiB, and less than 16 MiB means 16 MiB. Negative
	// means no limit.
	//
	// A shared value, see [concert.Share], counts once for all tasks that use
	// it. The worker keeps it for ten minutes after the last of these tasks,
	// unless another task needs the memory, and keeps at most 256 values that
	// no task uses. Set MaxBytes so that the part for large values is more than
	// the sum of the shared values that tasks use in turn. Otherwise the worker
	// downloads them again and again.
	MaxBytes int64

	// Ready, if set, is called on a separate goroutine when the worker is
	// registered. Serve waits until Ready returns, for a second at most, and
	// then fetches tasks.
	Ready func()

	// Notice is called with each message for the operator of the worker: a line
	// of text. Nil logs the messages as warnings to slog.Default().
	Notice func(text string)

	pullTime, maxPullTime time.Duration // shorter in tests, in which many workers drain
}

const (
	serveGrace  = 30 * time.Second
	pullTime    = 100 * time.Millisecond
	maxPullTime = 4 * time.Second
	maxSlots    = 1 << 16
)

// Serve runs tasks of a cluster on an executor of this program: for example on
// goroutines, or on processes, so that a crash ends only one task. It offers
// all functions that are registered in this program, see [concert.Register], or
// the functions in ServeOptions.Functions. When ctx ends, Serve fetches no more
// tasks, waits for the running tasks as ServeOptions.Grace describes, and
// returns nil. No task is lost. Serve returns an error if it cannot reach the
// cluster at the beginning. It also returns an error if the executor is closed
// while Serve has tasks. These tasks go to other workers.
func Serve(ctx context.Context, url string, ex concert.Executor, opts *ServeOptions) error {
	o := *cmp.Or(opts, &ServeOptions{})
	option.NotNegative("cluster: Serve", "ServeOptions.Slots", o.Slots)
	option.NotNegative("cluster: Serve", "ServeOptions.Grace", o.Grace)
	o.Slots = cmp.Or(o.Slots, ex.Width())
	o.Slots = min(o.Slots, maxSlots)
	o.Grace = cmp.Or(o.Grace, serveGrace)
	if o.Notice == nil {
		o.Notice = func(text string) { slog.Warn("cluster: " + text) }
	}
	set, err := offeredFunctions(o.Functions)
	if err != nil {
		return err
	}
	if text, err := wire.Marshal(&set); err != nil || len(text) > wire.MaxMessageBytes/2 {
		return fmt.Errorf("cluster: the names of %d functions are too long together for one worker: divide the functions among several workers by ServeOptions.Functions", len(set.Functions))
	}
	ctx, stop := executor.Isolate(ctx)
	defer stop()
	conn, err := o.connect(ctx, url, "concert worker")
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.CheckWorkerKey(); err != nil {
		return err
	}
	return worker.Serve(ctx, conn, ex, set, worker.Options{
		Slots: o.Slots, Grace: o.Grace, MaxBytes: o.MaxBytes, Ready: o.Ready, Notice: o.Notice,
		PullTime: cmp.Or(o.pullTime, pullTime), MaxPullTime: cmp.Or(o.maxPullTime, maxPullTime),
	})
}

// offeredFunctions returns the capability set of a worker that offers functions
// with these names. If names is nil, the worker offers all registered
// functions, and no declared functions.
func offeredFunctions(names []string) (wire.CapabilitySet, error) {
	c := wire.CapabilitySet{Functions: map[string]string{}}
	if names == nil {
		for _, f := range executor.Functions() {
			if !f.Declared() {
				c.Functions[f.Name()] = wire.Digest(f.Signature())
			}
		}
		return c, nil
	}
	for _, name := range names {
		f, err := executor.Find(name)
		if err != nil {
			return c, fmt.Errorf("cluster: ServeOptions.Functions: %w", err)
		}
		c.Functions[name] = wire.Digest(f.Signature())
	}
	return c, nil
}
