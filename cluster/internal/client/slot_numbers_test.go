package client

import (
	"fmt"
	"testing"
)

// TestSlotNumbers_Reused: slots keep their numbers as long as their workers
// exist, and the numbers of workers that have ended are used again.
func TestSlotNumbers_Reused(t *testing.T) {
	var n slotNumbers
	there := map[string]bool{"stays": true}
	alive := func(worker string) bool { return there[worker] }
	seen := map[int]bool{}
	stays := n.number(workerSlot{"stays", 7}, alive)
	for i := range 20 * minSweep {
		passing := fmt.Sprint("passing", i)
		there[passing] = true
		number := n.number(workerSlot{passing, 0}, alive)
		if again := n.number(workerSlot{passing, 0}, alive); again != number || seen[number] {
			t.Fatalf("a worker has the numbers %d and %d; another one has that: %v", number, again, seen[number])
		}
		seen[number] = true
		delete(there, passing)
		if len(n.known) > minSweep {
			t.Fatalf("%d numbers for two workers that are there", len(n.known))
		}
	}
	if got := n.number(workerSlot{"stays", 7}, alive); got != stays {
		t.Errorf("the worker that stays has number %d, and had %d", got, stays)
	}
}
