// Package worker runs tasks of a cluster on an executor of its program.
//
//	servers                       worker                              executor
//	task ----------- fetch -----> accept --> queue --> startReady -->  Relay
//	  |                           held until acknowledged                |
//	  +- lease <--- renewLeases --+                                      |
//	outcome <---- publishOutcome ------------------------- complete <----+
//	  +- stored --> acked --> acknowledgment of the task
//
// When the servers have stored the outcome, worker.acked acknowledges the task.
// A task that is not acknowledged goes to another worker when its lease ends.
// The files follow a task:
//
//	worker.go        registration, cancellation and the end of a worker
//	lease.go         renewal of leases
//	heartbeat.go     heartbeats and the capability set
//	fetch.go         requests for tasks
//	run.go           a task from its arrival to its result
//	queue.go         tasks that wait for a slot, or for memory
//	memory.go        the bytes of held tasks
//	shared.go        shared values, which many tasks use
//	outcome.go       outcomes, and the acknowledgment of tasks
//	retry.go         another attempt after a failed one, if the limit permits it
//	dead_letters.go  abandoned tasks
//	release.go       tasks that a stopping worker returns; these attempts do not count
//
// Package client has the other side of a cluster. Neither package imports the
// other.
package worker
