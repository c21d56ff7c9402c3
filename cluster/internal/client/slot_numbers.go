package client

// workerSlot is a slot of a worker, which is a worker for observers.
type workerSlot struct {
	worker string // its id
	slot   int
}

// slotNumbers numbers the slots of workers in the order in which they appear.
// It never uses a number twice. It forgets lost workers from time to time: a
// worker that starts again has another id, and a client may run for months.
type slotNumbers struct {
	known   map[workerSlot]int
	next    int
	sweepAt int // number of known slots at which lost workers are forgotten
}

const minSweep = 1024

// number returns the number of a slot. alive reports whether a worker exists.
func (n *slotNumbers) number(p workerSlot, alive func(worker string) bool) int {
	number, known := n.known[p]
	if known {
		return number
	}
	if n.known == nil {
		n.known, n.sweepAt = map[workerSlot]int{}, minSweep
	}
	if len(n.known) >= n.sweepAt {
		for other := range n.known {
			if !alive(other.worker) {
				delete(n.known, other)
			}
		}
		n.sweepAt = max(minSweep, 2*len(n.known))
	}
	number = n.next
	n.next++
	n.known[p] = number
	return number
}
