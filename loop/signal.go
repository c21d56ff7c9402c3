package loop

import (
	"context"
	"iter"
	"os"
	"os/signal"
)

// Signals returns the signals that the process gets of those named, one after another, while other coroutines run, until
// ctx ends. From when the range over it begins to when it ends, they are for it, see [signal.Notify]; those that
// come while the loop's body runs are not lost, unless they are more than 16.
//
//	g.Background(func(ctx context.Context) error {
//		for range loop.Signals(ctx, syscall.SIGHUP) {
//			reload()
//		}
//		return nil
//	})
//
// For Ctrl-C to end a loop, give Run a context of [signal.NotifyContext].
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
