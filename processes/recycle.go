package processes

import (
	"time"

	"concert/processes/internal/osproc"
)

// The pool replaces a worker in two cases: the worker has run
// Options.MaxTasks tasks (see nextCalls), or its memory stays above
// Options.MaxResident.

const (
	memoryInterval = 250 * time.Millisecond
	maxOverLimit   = 4 // number of measurements in a row above the limit after which a worker is replaced
)

// checkMemory measures the memory of the active workers until the pool ends. It
// replaces a worker if maxOverLimit measurements in a row were above
// Options.MaxResident, and a task has ended in this time.
func (p *Pool) checkMemory() {
	for tick := time.NewTicker(memoryInterval); ; {
		select {
		case <-p.gone:
			tick.Stop()
			return
		case <-tick.C:
		}
		p.mu.Lock()
		all := make([]*worker, 0, p.size)
		for _, w := range p.active {
			if w != nil {
				all = append(all, w)
			}
		}
		p.mu.Unlock()
		for _, w := range all {
			bytes, ok := osproc.ResidentMemory(w.pid)
			p.mu.Lock()
			switch {
			case !ok || bytes <= p.opts.MaxResident:
				w.overLimit = 0
			case w.overLimit == 0:
				w.overLimit, w.overLimitSince = 1, w.total
			default:
				w.overLimit++
			}
			if w.overLimit >= maxOverLimit && w.total > w.overLimitSince && w.state == active {
				p.replaceLocked(w)
			}
			p.mu.Unlock()
		}
	}
}

// replaceLocked makes a worker exit after it has finished its calls. It
// gives the number of this worker to another worker at once.
func (p *Pool) replaceLocked(w *worker) {
	w.leaveLocked()
	p.active[w.number] = nil
	p.refillLocked(w.number)
}
