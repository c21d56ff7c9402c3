package loop

import "context"

// Pending returns the number of timers that are set.
func Pending(ctx context.Context) int { return len(Of(ctx).timers.heap) }
