package cluster

import (
	"context"
	"fmt"
	"time"

	"concert/cluster/internal/wire"
)

const (
	stepTime  = 5 * time.Second  // for what is asked of the servers, before it is asked again
	beginTime = 30 * time.Second // for all of the beginning
)

// patiently does step, and once more while servers say nothing, or have not been set up: they may be about to choose who leads, or be on a
// machine that is busy. It ends with ctx, after beginTime, or when the servers say that the key may not do it. A step must be one that may
// be done twice.
func (l *link) patiently(ctx context.Context, step func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, beginTime)
	defer cancel()
	l.mu.Lock()
	l.refused = cancel
	l.mu.Unlock()
	for {
		once, stop := context.WithTimeout(ctx, stepTime)
		err := step(once)
		stop()
		if err != nil && wire.Passing(err) {
			select {
			case <-time.After(200 * time.Millisecond):
				continue
			case <-ctx.Done():
			}
		}
		l.mu.Lock()
		refusal := l.refusal
		l.mu.Unlock()
		if err != nil && refusal != nil {
			return fmt.Errorf("the servers do not let this key do it: %w", refusal)
		}
		return err
	}
}
