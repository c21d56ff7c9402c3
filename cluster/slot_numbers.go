package cluster

// workerSlot is what an observer takes for a worker.
type workerSlot struct {
	worker string // its id
	slot   int
}

// slotNumbers gives the places of workers a number each, in the order in which they
// appear. No number is given twice; what is known of workers that are gone is
// forgotten now and then, as they have new ids when they come again, and a
// client may be there for months.
type slotNumbers struct {
	known   map[workerSlot]int
	next    int
	sweepAt int // for so many, before it is looked which are gone
}

const minSweep = 1024

// number returns the number of a place. It asks alive which workers are there.
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
