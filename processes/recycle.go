package processes

import (
	"time"

	"concert/processes/internal/osproc"
)

// Workers are replaced when they have run their number of tasks, which feed
// sees to, or when their memory stays high, which is seen to here.

const (
	memoryInterval = 250 * time.Millisecond
	maxOverLimit   = 4 // times in a row
)

// weigh looks at the memory of the workers, until the pool ends, and replaces
// those that have too much of it whenever it looks, although tasks have ended
// meanwhile.
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

// retire has a worker leave, when it has finished what it has, and another one
// take its seat.
func (p *Pool) replaceLocked(w *worker) {
	w.leaveLocked()
	p.active[w.number] = nil
	p.refillLocked(w.number)
}
