// Package shm manages the memory that a pool shares with a worker process.
//
//	pool                                        worker
//	 |  calls offered, calls taken back           |
//	 +--------------> [ Journal ] <---------------+  calls begun, results written
//	 |  large arguments                           |
//	 +--------------> [  Arena  ] <---------------+  large results
//
// The pool calls [New] to make memory, and passes the file of this memory to
// the worker. The worker calls [Map] to map the file. A [Journal] records
// which calls the worker has begun, and keeps the last results until the
// pool has read them from the pipe. An [Arena] holds large arguments and
// results. layout.go has the offsets in both.
//
// Some values are needed longer than the call that uses them: shared values
// (see [Seal] and [MapSealed]), and mapped results (see [MapResult]). Each
// of them is in its own sealed file.
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

// ErrUnsealed is wrapped by the error of MapResult if the worker has not
// made the file in the same way as the function Seal.
var ErrUnsealed = errors.New("not a sealed file in memory")
