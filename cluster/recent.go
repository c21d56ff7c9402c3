package cluster

// recent is a set of those that came last, at most so many.
type recent[K comparable] struct {
	most int
	ring []K
	next int // in the ring: the oldest, when it is full
	set  map[K]struct{}
}

func (r *recent[K]) has(key K) bool { _, ok := r.set[key]; return ok }

func (r *recent[K]) add(key K) {
	switch {
	case r.has(key):
		return
	case r.set == nil:
		r.set = map[K]struct{}{}
	}
	if len(r.ring) < r.most {
		r.ring = append(r.ring, key)
	} else {
		delete(r.set, r.ring[r.next])
		r.ring[r.next] = key
		r.next = (r.next + 1) % r.most
	}
	r.set[key] = struct{}{}
}
