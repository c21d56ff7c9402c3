package goroutines

import (
	"math"
	"sync"

	"concert"
)

// Limit decides how many tasks of a pool run at a time; see Options.Limit.
type Limit interface {
	// Limit returns how many may run from now on, at least 1. It is called with the zero Event by New, and then with
	// each event of the pool's tasks, on the goroutine in which that happens, one at a time. It is to be
	// quick, and must not use the pool.
	Limit(concert.Event) int
}

// limited has the pool follow its Limit, up to most workers if that is not 0, and returns how many it begins
// with.
func (p *Pool) limited(most int) int {
	if most == 0 || most > math.MaxInt32 {
		most = math.MaxInt32
	}
	limit, observer := p.opts.Limit, p.opts.Observer
	bounded := func(e concert.Event) int { return min(max(limit.Limit(e), 1), most) }
	var mu sync.Mutex // so that an older answer does not come after a newer one
	p.opts.Observer = func(e concert.Event) {
		if observer != nil {
			defer observer(e) // the limit counts, also when it panics
		}
		mu.Lock()
		defer mu.Unlock()
		if n := bounded(e); n != p.Width() {
			p.Resize(n)
		}
	}
	return bounded(concert.Event{})
}
