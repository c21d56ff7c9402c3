package processes

import (
	"context"

	"concert/executor"
	"concert/internal/lazy"
)

// Options.Check is user code and may never return. The steps of a call of a
// Relay are:
//
//	claim --> checks --Check returns nil--> returned --> a worker
//	            |  \--Check refuses, fails, or takes too long--> settled
//	            \--Cancel: Withdraw--> settled
//
// Options.Check runs on another goroutine. While the check runs, the call is
// in Pool.checks, and counts as queued. So Submit blocks if too many calls
// are in Pool.checks.

// checkArgumentLocked starts Options.Check for a call.
func (p *Pool) checkArgumentLocked(t *executor.Task, s callRange) {
	p.checks[t] = true
	p.queue.ReserveLocked(1)
	// end removes the call from p.checks. It reports false if Withdraw has
	// already removed and settled the call.
	end := func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		checked := p.checks[t]
		if checked {
			delete(p.checks, t)
			p.queue.ReserveLocked(-1)
		}
		return checked
	}
	settle := func(settle func()) {
		settle()
		p.mu.Lock()
		defer p.mu.Unlock()
		p.countSettledLocked(1)
	}
	refuse := func(why error) {
		settle(func() {
			s.batch.Settle(s.from, -1, executor.Encoded{}, lazy.Errorf("processes: Options.Check: %w", why))
		})
	}
	ctx := s.batch.Context()
	p.group.CallFor(s.batch, "it", 0, func() (done func()) {
		err := p.opts.Check(s.batch.Args[s.from])
		return func() {
			switch {
			case !end():
			case err != nil:
				refuse(err)
			default:
				p.mu.Lock()
				defer p.mu.Unlock()
				p.returnCallsLocked(s)
			}
		}
	}, func(failure error) {
		switch {
		case !end():
		case ctx.Err() != nil:
			settle(func() { s.drop(s.from, context.Cause(ctx)) })
		default:
			refuse(failure)
		}
	})
}
