// Package executor is for authors of executors. Programs that only submit tasks
// use package concert and one of its executors, and need nothing from here.
//
// # The model
//
// Package concert makes a [Task] of each Submit and each Map, and hands it to
// an [Executor]. The task hides its function, its argument and its types. The
// executor keeps it in a queue until a worker is free. What happens then
// depends on the kind of the executor:
//
//	local: workers are goroutines of this process
//
//	  concert.Submit --Execute--> queue --Worker.Serve--> function --> future
//
//	remote: workers do not share memory with the caller
//
//	  concert.Submit --Execute--> queue --Task.Claim--> Batch: name, encoded arguments
//	                                                      |
//	                                        Batch.Start   v   bytes to a worker
//	                                                    Invoke(name, argument)
//	                                        Batch.Settle  |   bytes from a worker
//	                                                      v
//	                                                    future
//
// A local executor passes values as they are, and runs any function. A remote
// executor passes [Encoded] values, and runs functions that have a name: in the
// worker, [Find] and [Invoke] find a function by its name.
//
// Each executor has one [WorkerGroup], which holds the executor's [Queue], its
// observer, and its workers. Execute first calls WorkerGroup.Adopt. Then it
// calls Push of a [TaskQueue], which blocks while the queue is full. A local
// executor also adds its workers to the group, by WorkerGroup.Join. Its
// Shutdown calls WorkerGroup.Shutdown. The Shutdown of a remote executor calls
// the function [Shutdown]. The group counts the tasks and calls the observers,
// so Stats and Watch of an executor call the methods of the group.
//
// # The rules
//
//   - Every task that Execute has accepted settles: the executor runs it,
//     claims and settles its calls, or fails it.
//   - If Execute has refused a task, the executor does not use the task
//     afterwards.
//   - Methods of a Queue never block.
//   - Values are encoded and decoded within the time that [Limits] sets. If
//     methods of the program encode or decode a value, they run on other
//     goroutines.
//   - If a task waits, the context of the wait identifies the worker. If the
//     wait would block all workers forever, the group runs queued tasks during
//     the wait: deadlock.go has the rules.
//
// The suite in package executortest tests whether an executor obeys the rules.
// The example of this package is a complete executor.
//
// # The files
//
//	executor.go, batch.go                     what an executor implements and calls
//	worker.go                                 workers that are goroutines of this process
//	task_queue*.go, shutdown.go               the queue and the shutdown of an executor
//	submit.go, try_submit.go, task.go         Submit, the future and the task
//	task_cancel.go                            cancellation, and the end of the submitter's context
//	context.go, foreign_context.go            contexts of tasks, and of a type of the program
//	task_wait.go, arrivals.go                 waiting for one task, and for several
//	compensate.go, deadlock*.go               tasks that run while a task waits, and the wait graph
//	map*.go                                   a Map: feeder, runners, buffer, consumer
//	call_remote.go                            calls in a remote worker
//	value_codec.go, values_*.go, codec.go     values for remote workers
//	list.go, flat.go                          many small values
//	shared*.go                                one value for many calls
//	recording.go                              calls that package resume stores
//	register.go, declare.go, relay.go         functions with a name, and calls that are encoded
//	error*.go, panic*.go                      errors, and how they are sent
//	user_code.go, isolated.go                 methods of the program, on other goroutines
//	observer.go, watch.go, input.go           events, and labels
//	counters.go                               numbers that tasks change, and which tasks are timed
//	stats.go, failures.go, histogram.go       snapshots of these numbers
//	execution_trace.go                        execution traces of package runtime/trace
//	distributed_trace.go                      spans of a library for distributed tracing
//	lock.go                                   locks that a task holds
//
// # The corners
//
// A task of a Map may return to the queue many times, see Queue.Again. It is
// one task for any number of calls.
//
// While a worker is blocked in a wait, another goroutine, a compensating
// carrier, may run further tasks of the queue for it. So a worker has no thread
// of its own.
//
// Some names exist for package concert, which is built from them and documents
// them: [Submit], [Go], [Map], [Future], [Register] and the other functions
// whose comments refer to it.
package executor
