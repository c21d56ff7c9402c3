package processes

import (
	"os"
	"time"
)

// NewShared is how a pool makes the memory that it shares with a worker.
var NewShared = newShared

// ShareMemory has pools make it in another way, until undo.
func ShareMemory(f func(name string, size int) ([]byte, *os.File, error)) (undo func()) {
	before := shareMemory
	shareMemory = f
	return func() { shareMemory = before }
}

// Trim has pools give the memory of large values back after another time, and take some
// time for it, until undo.
func Trim(after, slow time.Duration) (undo func()) {
	before := trimAfter
	trimAfter = after
	giveBack = func(mem []byte) {
		time.Sleep(slow)
		trimShared(mem)
	}
	return func() { trimAfter, giveBack = before, trimShared }
}
