package download

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// body reads the body of a reply. It records the number of bytes for the
// timeouts, and pauses if the rate is above ClientOptions.Limit.
type body struct {
	job   *job
	ctx   context.Context
	r     io.Reader
	bytes atomic.Int64

	// The next fields measure the time for which Get has waited for the
	// server. begin is the time at which the watch started. spent is the total
	// time of the calls of r.Read that have returned. running is the start of
	// the current call, as a duration after begin, or -1 if there is no
	// current call.
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
		if pause := limit(n); pause > 0 {
			if e := sleep(b.ctx, pause); e != nil && err == nil {
				err = e
			}
		}
	}
	return n, err
}

// errReadFile is wrapped by the error of compare if the file cannot be read.
var errReadFile = errors.New("cannot read the file")

// compare compares the body with the bytes of a file between the positions
// from and end. All bytes before the returned position are equal. If the byte
// at this position differs, or if the file ends there, the error is
// errDamaged. If the body ends there, the error is io.EOF. If the file cannot
// be read, the error wraps errReadFile. If progress is not nil, compare calls
// it after each read.
func (b *body) compare(file io.ReaderAt, from, end int64, progress func(at int64)) (at int64, err error) {
	got, putGot := getBuffer(end - from)
	defer putGot()
	have, putHave := getBuffer(end - from)
	defer putHave()
	for at = from; at < end; {
		n, err := b.Read((*got)[:min(end-at, int64(len(*got)))])
		if n > 0 {
			if k, err := file.ReadAt((*have)[:n], at); k < n && err != io.EOF {
				return at, fmt.Errorf("%w: %w", errReadFile, err)
			} else if !bytes.Equal((*got)[:n], (*have)[:k]) {
				return at, errDamaged
			}
			at += int64(n)
			if progress != nil {
				progress(at)
			}
		}
		if err == nil {
			err = b.ctx.Err() // if the body arrived before ctx ended, Read returns no error
		}
		if err != nil && at < end {
			return at, err
		}
	}
	return at, nil
}

// unexpected returns io.ErrUnexpectedEOF in place of io.EOF.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// minStallBytes is the number of bytes that must arrive within
// ClientOptions.Stall. A server that sends single bytes has stalled, too.
const minStallBytes = 1 << 10

// waited returns the time for which Get has waited for the server.
func (b *body) waited() time.Duration {
	d := time.Duration(b.spent.Load())
	if start := b.running.Load(); start >= 0 {
		d += time.Since(b.begin) - time.Duration(start)
	}
	return d
}

// speedWindow is the time over which the speed is averaged.
const speedWindow = 30 * time.Second

// watch cancels the attempt if the body stalls or is too slow. Only the time
// in which Get waits for the server counts. The time for a slow disk, a
// digest, a limit of the rate and the caller's OnEvent does not count. watch
// returns a function that ends the watch.
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
			return fmt.Errorf("%w in %v", errTrickles, o.Stall)
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
	// A timer calls check. A goroutine would take longer to start and to end,
	// and a small body is complete before the first check.
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
