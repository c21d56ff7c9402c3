package supervisor

import (
	"fmt"
	"os"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// subreaper makes this process a child subreaper while a supervisor runs. If
// the supervisor dies, its children become children of this process.
var subreaper reaperState

type reaperState struct {
	mu    sync.Mutex // guards the fields below
	users int
	was   bool // whether this process was a subreaper before the first supervisor
}

func (r *reaperState) acquire() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.users == 0 {
		was, err := isSubreaper()
		if err == nil {
			err = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
		}
		if err != nil {
			return fmt.Errorf("become a child subreaper: %w", err)
		}
		r.was = was
	}
	r.users++
	return nil
}

func (r *reaperState) release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.users--; r.users == 0 && !r.was {
		unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	}
}

// killAdopted kills the descendants of a supervisor that has died. They are
// children of this process, or become its children when their parents die.
// killAdopted returns the number of descendants that are left after closeTime.
//
// A child belongs to the supervisor if it is in the session of the supervisor,
// or if its environment has the name of the run. Other children belong to other
// parts of this program.
func killAdopted(supervisor int, run string) (left int) {
	ours := make(map[int]bool)
	deadline := time.Now().Add(closeTime)
	// An orphan that executes a program has no environment for a moment, and
	// is not recognized in this moment. So the loop ends only when it has
	// found no orphan three times in sequence.
	for quiet := 0; quiet < 3; quiet++ {
		left = 0
		for _, pid := range childrenOf(os.Getpid()) {
			if !ours[pid] {
				session, err := unix.Getsid(pid)
				value, _ := jobOf(pid)
				ours[pid] = err == nil && session == supervisor || jobNumber(value, run) > 0
			}
			if ours[pid] {
				unix.Kill(pid, unix.SIGKILL)
				if got, _ := unix.Wait4(pid, nil, unix.WNOHANG, nil); got == pid {
					delete(ours, pid)
				}
				left++
			}
		}
		if left > 0 {
			quiet = -1
		}
		if time.Now().After(deadline) {
			break
		}
		time.Sleep(2 * time.Millisecond)
	}
	return left
}

func isSubreaper() (bool, error) {
	var state int32
	err := unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&state)), 0, 0, 0)
	return state != 0, err
}
