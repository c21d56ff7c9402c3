package cluster

// workerPlace is what an observer takes for a worker.
type workerPlace struct {
	worker string // its id
	place  int
}

// numbers gives the places of workers a number each, in the order in which they
// appear. No number is given twice; what is known of workers that are gone is
// forgotten now and then, as they have new ids when they come again, and a
// client may be there for months.
type numbers struct {
	given map[workerPlace]int
	next  int
	room  int // for so many, before it is looked which are gone
}

const leastNumbers = 1024

// of returns the number of a place. It asks alive which workers are there.
func (n *numbers) of(p workerPlace, alive func(worker string) bool) int {
	number, known := n.given[p]
	if known {
		return number
	}
	if n.given == nil {
		n.given, n.room = map[workerPlace]int{}, leastNumbers
	}
	if len(n.given) >= n.room {
		for other := range n.given {
			if !alive(other.worker) {
				delete(n.given, other)
			}
		}
		n.room = max(leastNumbers, 2*len(n.given))
	}
	number = n.next
	n.next++
	n.given[p] = number
	return number
}
