package python

import (
	"context"
	"errors"
	"fmt"
	"time"

	"concert"
	"concert/executor"
	"concert/processes"
)

// decoded is a value of a stream, or the error of decoding it.
type decoded[Out any] struct {
	v   Out
	err error
}

// decodeItem decodes a value of a stream on another goroutine. The decoding
// may call user code, and this code may panic, end its goroutine, or not
// return. The time for decoding has the same limits as for a result.
func decodeItem[Out any](ctx context.Context, s *stream, item executor.Encoded) (Out, error) {
	returned := make(chan decoded[Out], 1)
	go func() {
		d := decoded[Out]{err: concert.ErrGoexit}
		defer func() {
			if v := recover(); v != nil {
				d.err = executor.NewPanicError(v)
			}
			returned <- d
		}()
		var v Out
		if d.err = (codec{}).Decode(item, &v); d.err == nil {
			d.v = v
		}
	}()
	var d decoded[Out]
	concert.Release(ctx, func() { d = awaitDecoded(ctx, s, returned) })
	return d.v, d.err
}

func awaitDecoded[Out any](ctx context.Context, s *stream, returned <-chan decoded[Out]) decoded[Out] {
	var timeout <-chan time.Time
	if s.opts.Timeout > 0 {
		timeout = time.After(s.opts.Timeout)
	}
	ended := s.task.Done()
	var why error
	for why == nil {
		select {
		case d := <-returned:
			return d
		case <-timeout:
			return decoded[Out]{err: fmt.Errorf("the methods that decode the value did not return within %v: %w", s.opts.Timeout, processes.ErrTimeout)}
		case <-ctx.Done():
			why = context.Cause(ctx)
		case <-ended:
			ended = nil
			why = s.cutShort(ctx)
		}
	}
	grace := max(0, s.opts.Grace)
	select {
	case d := <-returned:
		return d
	case <-time.After(grace):
		return decoded[Out]{err: fmt.Errorf("the methods that decode the value did not return within %v after the task or its context ended: %w", grace, why)}
	}
}

// cutShort returns the reason why the task has ended before its value was
// decoded. If the generator has returned or raised an exception, the
// decoding can continue, so cutShort returns nil.
func (s *stream) cutShort(ctx context.Context) error {
	_, err := s.task.Result(context.WithoutCancel(ctx))
	if _, raised := errors.AsType[*Error](err); raised && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}
