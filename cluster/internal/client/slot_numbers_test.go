package client

import (
	"fmt"
	"testing"
)

// TestSlotNumbers_NotReused: a slot must keep its number as long as its worker
// exists. The slots of workers that have ended must be deleted, and no other
// slot may get their numbers.
func TestSlotNumbers_NotReused(t *testing.T) {
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
			t.Fatalf("a slot has the numbers %d and %d; another slot had the first number: %v", number, again, seen[number])
		}
		seen[number] = true
		delete(there, passing)
		if len(n.known) > minSweep {
			t.Fatalf("%d numbers are stored for two workers that exist, want at most minSweep", len(n.known))
		}
	}
	if got := n.number(workerSlot{"stays", 7}, alive); got != stays {
		t.Errorf("the slot of the worker that stays has the number %d, and had %d before", got, stays)
	}
}
