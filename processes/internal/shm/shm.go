// Package shm manages the memory that a pool shares with a worker process.
//
//	pool                                        worker
//	 |  calls offered, calls taken back           |
//	 +--------------> [ Journal ] <---------------+  calls begun, results written
//	 |  large arguments                           |
//	 +--------------> [  Arena  ] <---------------+  large results
//
// The pool makes memory by [New], and passes its file to the worker, which maps
// it by [Map]. A [Journal] records which calls the worker has begun, and keeps
// the last results until the pool has read them from the pipe. An [Arena] holds
// large arguments and results.
//
// Values that outlive a call are in sealed files of their own: shared values
// (see [Seal] and [MapSealed]), and mapped results (see [MapResult]).
//
// Only Linux has sealed files in memory. On other systems, New fails with an
// error that is [errors.ErrUnsupported], and the pool uses no shared memory.
package shm

import (
	"errors"
	"runtime/debug"
)

// ErrNoMemory is the error of an access to shared memory if the system has no
// memory left for a page. The system does not reserve the pages of shared
// memory when a process maps it.
var ErrNoMemory = errors.New("the system has no memory for pages that are shared with a worker")

// ErrNoDescriptor is the error of ReceiveFile and TakeFile if the file has
// arrived, but the process has no free descriptor for it.
var ErrNoDescriptor = errors.New("there is no free file descriptor for a shared value or a mapped result: raise the limit of open files, or close files")

// ErrNoFile is the error of TakeFile if the socket has no file.
var ErrNoFile = errors.New("the socket has no file")

// ErrUnsealed is wrapped by the errors of MapResult if the file of the worker
// is not one that the function Seal creates.
var ErrUnsealed = errors.New("not a sealed file in memory")

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
