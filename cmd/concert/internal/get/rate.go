package get

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"concert/cmd/concert/internal/cli"
)

// byteRate is a flag for a speed in bytes per second, such as 500K or 2M.
type byteRate int64

// String returns the speed in bytes per second.
func (r *byteRate) String() string { return fmt.Sprint(int64(*r)) }

// Set parses a speed: a number and, optionally, one of the units K, M and G,
// which are powers of 1024, and "/s".
func (r *byteRate) Set(text string) error {
	var m cli.Memory
	if err := m.Set(strings.TrimSuffix(text, "/s")); err != nil || m.Bytes < 1 {
		return errors.New("want bytes per second, as in 500K or 2M")
	}
	*r = byteRate(m.Bytes)
	return nil
}

// minBurst is the number of bytes that may arrive at once. It is the size of
// the buffers of the downloads, so that a read waits at most once.
const minBurst = 128 << 10

// newLimit returns the function that limits the speed of all downloads
// together. It returns nil if there is no limit.
func newLimit(r byteRate) func(ctx context.Context, bytes int) error {
	if r == 0 {
		return nil
	}
	// A burst of a tenth of a second keeps the speed with coarse timers.
	limiter := rate.NewLimiter(rate.Limit(r), max(minBurst, int(min(r/10, 1<<30))))
	return func(ctx context.Context, bytes int) error {
		for bytes > 0 {
			n := min(bytes, limiter.Burst())
			bytes -= n
			// WaitN fails at once if ctx has a deadline before the end of the
			// wait. This error would hide that the time limit passed.
			if err := pause(ctx, limiter.ReserveN(time.Now(), n).Delay()); err != nil {
				return err
			}
		}
		return nil
	}
}

// pause waits for d. If ctx ends first, it returns the cause.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
