package download

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"time"
)

const (
	maxRetryDelay = time.Minute
	minProgress   = 64 << 10 // number of new bytes that renew the number of attempts
	maxRefusals   = 2        // after this number of refused ranges, the whole file is requested
	maxTrickles   = 2        // maximum number of attempts in a row in which nothing but single bytes arrives
)

// ErrRetryAfter is wrapped by the error of Get if the server demands a pause
// that is longer than ClientOptions.MaxRetryAfter.
var ErrRetryAfter = errors.New("download: the demanded pause is too long")

// pauseError is ErrRetryAfter with both times.
type pauseError struct{ demanded, limit time.Duration }

// Error returns both times in seconds, as the server has sent them.
func (e pauseError) Error() string {
	return fmt.Sprintf("it demands a pause of %.0f seconds, and the limit is %.0f", e.demanded.Seconds(), e.limit.Seconds())
}

// Is reports whether target is ErrRetryAfter.
func (e pauseError) Is(target error) bool { return target == ErrRetryAfter }

// errDiffers is the error for an existing file that Get must not replace.
var errDiffers = fmt.Errorf("%w, and is not known to be the file of the server", fs.ErrExist)

// download makes attempts until the file is complete and has its name. After
// an attempt with progress, the number of attempts starts from zero again.
func (j *job) download(ctx context.Context) (err error) {
	if (j.known == nil || j.Update) && !j.ServerName && !j.unlisted {
		if j.part, err = j.waitPart(ctx); err != nil {
			return err
		}
	}
	if j.part != nil && !j.appeared { // if the file has appeared, the part is from this Get
		j.earlier = j.part.spans()
	}
	defer func() {
		if j.part == nil {
			return
		}
		kept := j.part.release()
		j.part = nil
		if e, ok := errors.AsType[*Error](err); ok {
			e.Kept = kept
		}
	}()
	best := j.partSize()
	delay := j.client.opts.RetryDelay
	for failures, wrong, trickles := 0, 0, 0; ; {
		j.attempt++
		j.result.Attempts = j.attempt
		err := j.tryAdmitted(ctx)
		if err == nil {
			return j.finish()
		}
		e, ok := errors.AsType[*Error](err)
		if !ok { // errAppeared
			return err
		}
		if cause := context.Cause(ctx); cause != nil {
			if !errors.Is(e.Err, cause) { // ctx ended after the attempt had failed
				e.Err = fmt.Errorf("%w; the last error: %w", cause, e.Err)
			}
			return err
		}
		if errors.Is(err, ErrChecksum) {
			if wrong++; wrong > 1 {
				return err
			}
		}
		progressed := j.partSize() >= best+minProgress
		if progressed {
			best, failures, delay = j.partSize(), 0, j.client.opts.RetryDelay
		}
		if trickles++; progressed || !errors.Is(err, errTrickles) {
			trickles = 0
		}
		if !progressed && j.several {
			j.Connections = 1 // some servers reply to only one connection
		}
		failures++
		if trickles >= maxTrickles {
			e.temporary = false
		}
		if e.rangeOnly {
			// A server may also refuse a request because it still counts a
			// connection that has ended. So the range is requested again.
			j.refuser, j.refusals = j.current+1, j.refusals+1
			e.temporary = e.temporary || j.refusals < maxRefusals && j.client.opts.Retries > 0
		}
		mirror := false // whether the next address has not been tried
		if !progressed || !e.temporary || j.client.opts.Retries < 1 {
			j.current = (j.current + 1) % len(j.urls)
			mirror = failures < len(j.urls)
		}
		whole := j.refuser > 0 && !e.temporary && !mirror && !j.whole
		if whole {
			j.whole, j.current = true, j.refuser-1
		}
		if !mirror && !whole && (!e.temporary || failures > max(0, j.client.opts.Retries)) {
			return err
		}
		pause := delay - rand.N(delay/2+1)
		delay = min(2*delay, maxRetryDelay)
		if e.retryAfter > j.client.opts.MaxRetryAfter && !mirror {
			e.Err = fmt.Errorf("%w; %w", e.Err, pauseError{e.retryAfter, j.client.opts.MaxRetryAfter})
			return err
		}
		switch {
		case mirror:
			pause = 0
		case e.retryAfter > 0:
			pause = e.retryAfter
		}
		j.emit(Event{Kind: EventRetry, Delay: pause, Err: e, Total: -1})
		if cause := sleep(ctx, pause); cause != nil {
			return j.fail("try again", fmt.Errorf("%w; the last error: %w", cause, e.Err))
		}
	}
}

// tryAdmitted calls ClientOptions.Acquire, and then makes an attempt.
func (j *job) tryAdmitted(ctx context.Context) (err error) {
	if acquire := j.client.opts.Acquire; acquire != nil {
		release, e := acquire(ctx, j.url().Host)
		if e != nil {
			return j.fail("start", e)
		}
		defer func() { release(err) }()
	}
	if ctx.Err() != nil {
		return j.fail("start", context.Cause(ctx))
	}
	j.emit(Event{Kind: EventStart, Total: -1})
	return j.tryOnce(ctx)
}

// finish gives the complete part its name.
func (j *job) finish() error {
	if j.part == nil {
		return nil // the existing file is the right one
	}
	p := j.part
	size := p.size.Load()
	if p.state.Size >= 0 && p.state.Size != size {
		return j.fail("complete "+j.Name, fmt.Errorf("it has %d of %d bytes", size, p.state.Size)) // cannot happen
	}
	if err := j.checkPlausible(); err != nil {
		j.discardPart()
		return j.fail("replace "+j.Name, err)
	}
	// For Update, Get only replaces the file that was compared.
	if err := p.commit(j.Overwrite || j.Update && j.known != nil); err != nil {
		if errors.Is(err, errAppeared) {
			j.appeared = true
			if p.unnamed {
				j.discardPart() // the part is small, or cannot be continued
			}
			return err
		}
		return j.failWrite("give the complete file the name "+j.Name, err)
	}
	j.part = nil
	j.result.Size, j.result.Resumed, j.result.Modified = size, sumSpans(j.earlier), p.state.Modified
	return nil
}

// sleep waits for d. If ctx ends first, it returns the cause.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
