package shm

import (
	"errors"
	"runtime/debug"
)

// ErrNoMemory is the error of an access to shared memory if the system has no
// memory left for a page. The system does not reserve the pages of shared
// memory when a process maps it.
var ErrNoMemory = errors.New("the system has no memory for pages that are shared with a worker")

// CatchFault calls the function access, which reads or writes shared memory. If
// the system has no memory for a page, CatchFault returns ErrNoMemory. Without
// CatchFault, such an access would end the process by a signal.
func CatchFault(access func()) (err error) {
	before := debug.SetPanicOnFault(true)
	defer debug.SetPanicOnFault(before)
	defer func() {
		v := recover()
		if _, fault := v.(interface{ Addr() uintptr }); fault {
			err = ErrNoMemory
		} else if v != nil {
			panic(v)
		}
	}()
	access()
	return nil
}
