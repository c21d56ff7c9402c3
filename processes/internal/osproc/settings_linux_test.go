package osproc

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// TestCurrentMask: currentMask must return the mask of the calling thread,
// even if the first thread of the process has another mask. The first thread
// may be the thread that starts workers, and this thread has its own mask.
func TestCurrentMask(t *testing.T) {
	result := make(chan int)
	var onThread func()
	onThread = func() {
		runtime.LockOSThread() // without Unlock, so the thread ends with the goroutine
		if unix.Gettid() == unix.Getpid() {
			go onThread() // on another thread
			<-t.Context().Done()
			return
		}
		if unix.Unshare(unix.CLONE_FS) != nil {
			result <- -1
			return
		}
		unix.Umask(0o153)
		result <- currentMask()
	}
	go onThread()
	switch mask := <-result; mask {
	case -1:
		t.Skip("a thread cannot have a mask of its own here")
	case 0o153:
	default:
		t.Errorf("mask %#o, want the mask of the thread, 0153", mask)
	}
}
