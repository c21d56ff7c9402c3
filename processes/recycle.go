package processes

import (
	"time"

	"concert/processes/internal/osproc"
)

// Workers are replaced when they have run their number of tasks, which feed
// sees to, or when their memory stays high, which is seen to here.

const (
	weighEvery = 250 * time.Millisecond
	mostHeavy  = 4 // times in a row
)

// weigh looks at the memory of the workers, until the pool ends, and replaces
// those that have too much of it whenever it looks, although tasks have ended
// meanwhile.
func (p *Pool) weigh() {
	for tick := time.NewTicker(weighEvery); ; {
		select {
		case <-p.gone:
			tick.Stop()
			return
		case <-tick.C:
		}
		p.mu.Lock()
		all := make([]*worker, 0, p.width)
		for _, w := range p.seats {
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
				w.heavy = 0
			case w.heavy == 0:
				w.heavy, w.heavyAt = 1, w.total
			default:
				w.heavy++
			}
			if w.heavy >= mostHeavy && w.total > w.heavyAt && w.state == seated {
				p.retire(w)
			}
			p.mu.Unlock()
		}
	}
}

// retire has a worker leave, when it has finished what it has, and another one
// take its seat. The caller holds mu.
func (p *Pool) retire(w *worker) {
	w.release()
	p.seats[w.id] = nil
	p.refill(w.id)
}
