package shm

import (
	"errors"
	"runtime/debug"
)

// ErrNoMemory is the error of an access to shared memory if the system has no
// memory left for a page. To map shared memory does not reserve its pages.
var ErrNoMemory = errors.New("the system has no memory for pages that are shared with a worker")

// CatchFault calls access, which reads or writes shared memory. If the system
// cannot provide a page, it returns ErrNoMemory. Without CatchFault, the signal
// of such an access ends the process.
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
