package main

import "sync"

// last is what is still to be done when the program ends at once, at a second
// Ctrl-C: programs that were started are killed, and files removed that are not
// complete.
var last struct {
	mu    sync.Mutex
	undos map[any]func() // guarded by mu
}

// atOnce has undo called if the program ends at once, until forget.
func atOnce(key any, undo func()) {
	last.mu.Lock()
	defer last.mu.Unlock()
	if last.undos == nil {
		last.undos = map[any]func(){}
	}
	last.undos[key] = undo
}

func forget(key any) {
	last.mu.Lock()
	defer last.mu.Unlock()
	delete(last.undos, key)
}

// undoAll calls all of them. It keeps the lock, so that nothing more is
// started.
func undoAll() {
	last.mu.Lock()
	for _, undo := range last.undos {
		undo()
	}
}
