package download

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// body reads the body of a reply. It records the number of bytes for the
// timeouts, and obeys the limit of the rate.
type body struct {
	job   *job
	ctx   context.Context
	r     io.Reader
	part  *part
	bytes atomic.Int64

	// The next fields tell how long Get has waited for the server. begin is
	// when the watch started, spent is the time that the ended calls of r.Read
	// took, and running is when the running call started, as a duration after
	// begin, or -1.
	begin   time.Time
	spent   atomic.Int64
	running atomic.Int64
}

// Read reads from the body of the reply.
func (b *body) Read(p []byte) (int, error) {
	start := time.Since(b.begin)
	b.running.Store(int64(start))
	n, err := b.r.Read(p)
	b.running.Store(-1)
	b.spent.Add(int64(time.Since(b.begin) - start))
	b.bytes.Add(int64(n))
	if limit := b.job.client.opts.Limit; limit != nil && n > 0 {
		if e := limit(b.ctx, n); e != nil && err == nil {
			err = e
		}
	}
	return n, err
}

// compare reads bytes that the part has already, from a position to the byte
// before another one, and returns errDamaged if they differ.
func (b *body) compare(from, end int64) error {
	have := make([]byte, end-from)
	if _, err := b.part.file.ReadAt(have, from); err != nil {
		return err
	}
	got := make([]byte, len(have))
	if _, err := io.ReadFull(b, got); err != nil {
		return err
	}
	if !slices.Equal(have, got) {
		return errDamaged
	}
	return nil
}

// minStallBytes is the number of bytes that must arrive within
// ClientOptions.Stall. A server that sends single bytes has stalled, too.
const minStallBytes = 1 << 10

// waited returns how long Get has waited for the server.
func (b *body) waited() time.Duration {
	d := time.Duration(b.spent.Load())
	if start := b.running.Load(); start >= 0 {
		d += time.Since(b.begin) - time.Duration(start)
	}
	return d
}

// speedWindow is the time over which the speed is averaged.
const speedWindow = 30 * time.Second

// watch cancels the attempt if the body stalls or is too slow. Only the time in
// which Get waits for the server counts as a stall: a slow disk, a digest, the
// limit of the rate and the caller's OnEvent are not the fault of the server.
// watch returns a function that ends the watch.
func (b *body) watch(cancel context.CancelCauseFunc) (stop func()) {
	o := &b.job.client.opts
	b.begin = time.Now()
	b.running.Store(-1)
	if o.Stall < 0 && o.MinSpeed <= 0 {
		return func() {}
	}
	period := time.Second
	if o.Stall > 0 {
		period = min(period, max(o.Stall/8, time.Millisecond))
	}
	window := max(1, int(speedWindow/period))
	var counts []int64 // one for each period, up to window
	last, lastBytes := time.Duration(0), int64(0)
	moved, movedBytes := time.Duration(0), int64(0) // when bytes arrived last
	check := func() (cause error) {
		n := b.bytes.Load()
		if n != movedBytes {
			moved, movedBytes = b.waited(), n
		}
		if n-lastBytes >= minStallBytes {
			last, lastBytes = b.waited(), n
		} else if o.Stall > 0 && b.waited()-last >= o.Stall && b.waited()-moved < o.Stall/2 {
			return fmt.Errorf("%w: less than %d bytes in %v", errStalled, minStallBytes, o.Stall)
		} else if o.Stall > 0 && b.waited()-last >= o.Stall {
			return fmt.Errorf("%w for %v", errStalled, o.Stall)
		}
		if counts = append(counts, n); len(counts) > window {
			if speed := float64(n-counts[0]) / speedWindow.Seconds(); speed < float64(o.MinSpeed) {
				return fmt.Errorf("%w: %.0f bytes per second in the last %v, minimum %d", errSlow, speed, speedWindow, o.MinSpeed)
			}
			counts = counts[1:]
		}
		return nil
	}
	// A small body is complete before the first check. So a timer calls check,
	// because a goroutine that waits would take longer to start and to end.
	var mu sync.Mutex // guards timer and stopped
	var timer *time.Timer
	stopped := false
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(period, func() {
		mu.Lock()
		defer mu.Unlock()
		if stopped {
			return
		}
		if cause := check(); cause != nil {
			cancel(cause)
			return
		}
		timer.Reset(period)
	})
	return func() {
		mu.Lock()
		defer mu.Unlock()
		stopped = true
		timer.Stop()
	}
}
