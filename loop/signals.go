package loop

import (
	"context"
	"iter"
	"os"
	"os/signal"
)

// Signals returns a sequence of the given signals that the process receives,
// until ctx ends. Other coroutines run while the sequence waits for a
// signal. During a range over the sequence, the signals are delivered to the
// sequence, see [signal.Notify]. The sequence keeps up to 16 signals that
// arrive while the body of the range runs.
//
//	g.Background(func(ctx context.Context) error {
//		for range loop.Signals(ctx, syscall.SIGHUP) {
//			reload()
//		}
//		return nil
//	})
//
// To end a loop with Ctrl-C, call Run with a context of [signal.NotifyContext].
func Signals(ctx context.Context, signals ...os.Signal) iter.Seq[os.Signal] {
	return func(yield func(os.Signal) bool) {
		got := make(chan os.Signal, 16)
		signal.Notify(got, signals...)
		defer signal.Stop(got)
		for {
			var s os.Signal
			err := Block(ctx, func() error {
				select {
				case s = <-got:
					return nil
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			})
			if err != nil || !yield(s) {
				return
			}
		}
	}
}
