package processes

import (
	"context"

	"concert/executor"
	"concert/internal/lazy"
)

// Options.Check is code of the program and may not return. These are the steps
// of a call of a Relay:
//
//	claim --> checks --Check returns nil--> returned --> a worker
//	            |  \--Check refuses, fails, or takes too long--> settled
//	            \--Cancel: Withdraw--> settled
//
// The call is in Pool.checks while Check runs on another goroutine, so no
// worker waits for Check. The call counts as queued, so Submit blocks when too
// many calls are in Pool.checks.

// checkArgumentLocked starts Options.Check for a call.
func (p *Pool) checkArgumentLocked(t *executor.Task, s span) {
	p.checks[t] = true
	// end removes the call from p.checks. It reports false if the call is
	// settled.
	end := func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		checked := p.checks[t]
		delete(p.checks, t)
		p.admitLocked()
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
