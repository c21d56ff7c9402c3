package cli

import "sync"

// cleanups has the functions to call if the program ends at once, after a
// second Ctrl-C. They kill programs that were started, and remove incomplete
// files.
var cleanups struct {
	mu    sync.Mutex
	funcs map[any]func() // guarded by mu
}

// AddCleanup registers f, to be called if the program ends at once.
// RemoveCleanup with the same key removes it.
func AddCleanup(key any, f func()) {
	cleanups.mu.Lock()
	defer cleanups.mu.Unlock()
	if cleanups.funcs == nil {
		cleanups.funcs = map[any]func(){}
	}
	cleanups.funcs[key] = f
}

// RemoveCleanup undoes AddCleanup.
func RemoveCleanup(key any) {
	cleanups.mu.Lock()
	defer cleanups.mu.Unlock()
	delete(cleanups.funcs, key)
}

// RunCleanups calls all cleanups. It does not release the lock, so that no
// other goroutine can start a program afterwards.
func RunCleanups() {
	cleanups.mu.Lock()
	for _, f := range cleanups.funcs {
		f()
	}
}
