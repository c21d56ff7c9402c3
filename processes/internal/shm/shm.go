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
// large arguments and results. layout.go has the offsets in both.
//
// Values that outlive a call are in sealed files of their own: shared values
// (see [Seal] and [MapSealed]), and mapped results (see [MapResult]).
//
// Only Linux has sealed files in memory. On other systems, New fails with an
// error that is [errors.ErrUnsupported], and the pool uses no shared memory.
package shm

import "errors"

// ErrNoDescriptor is the error of ReceiveFile and TakeFile if the file has
// arrived, but the process has no free descriptor for it.
var ErrNoDescriptor = errors.New("there is no free file descriptor for a shared value or a mapped result: raise the limit of open files, or close files")

// ErrNoFile is the error of TakeFile if the socket has no file.
var ErrNoFile = errors.New("the socket has no file")

// ErrUnsealed is wrapped by the errors of MapResult if the file of the worker
// is not one that the function Seal creates.
var ErrUnsealed = errors.New("not a sealed file in memory")
