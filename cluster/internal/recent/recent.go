// Package recent provides a set that keeps only the keys that were added last.
package recent

// Set contains the last Max keys that were added. The zero value with a Max is
// ready to use. It is not safe for concurrent use.
type Set[K comparable] struct {
	Max  int
	ring []K
	next int // index of the oldest key in a full ring
	set  map[K]struct{}
}

// Has reports whether the set contains a key.
func (r *Set[K]) Has(key K) bool { _, ok := r.set[key]; return ok }

// Add adds a key. If the set is full, it removes the key that was added first.
func (r *Set[K]) Add(key K) {
	switch {
	case r.Has(key):
		return
	case r.set == nil:
		r.set = map[K]struct{}{}
	}
	if len(r.ring) < r.Max {
		r.ring = append(r.ring, key)
	} else {
		delete(r.set, r.ring[r.next])
		r.ring[r.next] = key
		r.next = (r.next + 1) % r.Max
	}
	r.set[key] = struct{}{}
}
