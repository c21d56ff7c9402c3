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
// Only Linux has sealed files in memory. On other systems New fails with an
// error that is [errors.ErrUnsupported], and the pool works without.
package shm
