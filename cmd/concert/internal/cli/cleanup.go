package cli

import "sync"

// cleanups has the functions to call if a second Ctrl-C ends the program at
// once. The functions kill commands that the program has started, and remove
// incomplete files.
var cleanups struct {
	mu    sync.Mutex
	funcs map[any]func() // guarded by mu
}

// AddCleanup registers f. RunCleanups calls f, unless RemoveCleanup was called
// with the same key earlier.
func AddCleanup(key any, f func()) {
	cleanups.mu.Lock()
	defer cleanups.mu.Unlock()
	if cleanups.funcs == nil {
		cleanups.funcs = map[any]func(){}
	}
	cleanups.funcs[key] = f
}

// RemoveCleanup removes the function that was registered with key.
func RemoveCleanup(key any) {
	cleanups.mu.Lock()
	defer cleanups.mu.Unlock()
	delete(cleanups.funcs, key)
}

// RunCleanups calls all registered functions. It does not release the lock. So
// a goroutine that wants to start a command blocks in AddCleanup until the
// program has ended.
func RunCleanups() {
	cleanups.mu.Lock()
	for _, f := range cleanups.funcs {
		f()
	}
}
