package loop

import "context"

// Pending returns how many timers there are.
func Pending(ctx context.Context) int { return len(Of(ctx).timers.heap) }
