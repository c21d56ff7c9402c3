package loop

import "context"

// Pending returns the number of timers that are set.
func Pending(ctx context.Context) int { return len(Of(ctx).timers.heap) }

// OnPoll makes the loop of ctx call fn once, while it polls contexts.
func OnPoll(ctx context.Context, fn func()) {
	l := Of(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.onPoll = fn
}
