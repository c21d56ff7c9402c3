package get

import (
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

// Set parses a speed: a number, and optionally a unit and "/s". The units K, M
// and G are powers of 1024.
func (r *byteRate) Set(text string) error {
	var m cli.Memory
	if err := m.Set(strings.TrimSuffix(text, "/s")); err != nil || m.Bytes < 1 {
		return errors.New("want bytes per second, as in 500K or 2M")
	}
	*r = byteRate(m.Bytes)
	return nil
}

// minBurst is the minimum number of bytes that may arrive at once. It is the
// size of the largest buffer, so no read is larger than a burst.
const minBurst = 128 << 10

// newLimit returns the function that limits the speed of all downloads
// together. It returns nil if there is no limit.
func newLimit(r byteRate) func(bytes int) (pause time.Duration) {
	if r == 0 {
		return nil
	}
	// A burst has the bytes that may arrive in a tenth of a second. If bursts
	// were smaller, coarse timers would reduce the speed.
	limiter := rate.NewLimiter(rate.Limit(r), max(minBurst, int(min(r/10, 1<<30))))
	return func(bytes int) (pause time.Duration) {
		for bytes > 0 {
			n := min(bytes, limiter.Burst())
			bytes -= n
			pause = limiter.ReserveN(time.Now(), n).Delay() // the delay includes the pauses of earlier reservations
		}
		return pause
	}
}
