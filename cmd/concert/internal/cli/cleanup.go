package cli

import "sync"

// cleanups has what is still to be done when the program ends at once, at a
// second Ctrl-C: to kill programs that were started, and to remove files that
// are not complete.
var cleanups struct {
	mu    sync.Mutex
	funcs map[any]func() // guarded by mu
}

// AddCleanup has f called if the program ends at once, until RemoveCleanup is
// called with the same key.
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

// RunCleanups calls all cleanups. It keeps the lock, so that nothing more is
// started.
func RunCleanups() {
	cleanups.mu.Lock()
	for _, f := range cleanups.funcs {
		f()
	}
}
