// Package cluster runs tasks on as many machines as there are: an executor for package concert whose workers are
// other programs, and the worker. Streams, replication, leases and deduplication are those of NATS JetStream; nothing here
// replaces them.
//
//	ex, err := cluster.Dial(ctx, "nats://one:4222,two:4222,three:4222", nil)
//	for n, err := range concert.Map(ctx, ex, square, inputs) { ... }
//
// and on each machine that is to work, a program in which square is registered, too:
//
//	cluster.Serve(ctx, "nats://one:4222,two:4222,three:4222", goroutines.New(8, nil), nil)
//
// # The model
//
//	client                         servers                            worker
//	Submit, Map
//	   |
//	lane of the function,
//	   | as there are places
//	   +----- task ------------->  CONCERT_TASKS    ---- pull ------>  place 1..n
//	   |                           one for all of                        | the executor that it was given
//	   |                           a contract                            |
//	future <-- result, ack ------  CONCERT_RESULTS  <--- result, ack --- +
//	                               the first counts                      |
//	                               CONCERT_TASKS    <--- ack of the task-+
//
// A worker offers the functions that are registered in its program. All of them together, with the types of their
// arguments and results, are its contract; programs of another version may have another one, and both can work at the same time. A
// client knows the contracts and how many places the workers of each have, from what these say every few seconds. It sends as
// many tasks of a function as there are places, and more only if they are quick; the others wait in its own process, where
// they can still be cancelled for certain. So one client does not keep another one waiting: of each function whose tasks are not quick, no more
// of them are before the other one's than there are places.
//
// While no worker has a function its tasks wait, and Options.Notice is told.
//
// # The rules
//
//   - A task runs at least once, unless it is canceled first. It runs twice if its
//     worker, or the report of its worker, is lost after the task has begun, or if
//     the servers' acknowledgment of the task is lost. Functions with side effects
//     must tolerate this: for example, they overwrite the same file, or send an id
//     that the receiver remembers.
//   - Its result is shown exactly once: the first one that the servers store counts.
//   - A worker publishes a result, waits until that is stored, and then acknowledges the task. Whatever it has not acknowledged
//     goes to another worker when it has been silent about it for half a minute. After five such losses the task is given up: its error is ErrDead,
//     and it is a dead letter, which [Inspector] lists and replays. One that a worker gives back as it ends, since it takes longer than the worker's grace, is no loss.
//   - What a function returns, an error as well, is its result; unless its submitter has it tried again, see [WithRetry].
//   - A task whose context ends is dropped, or the context of its function is cancelled, wherever it is. The deadline of a context
//     travels; so clocks should agree.
//   - Arguments and results of more than 256 KiB travel in parts, by a stream of their own, and are removed when they have been read; of tasks
//     with ids, after a week.
//   - The client is told that a task runs, and how far it is, by messages that may be lost: they are for show.
//   - [WithID] gives tasks ids of their own, by which a program that was stopped finds their results again.
//   - When there are no workers of a contract any more, its tasks go to those of another one that has the function.
//
// # The corners
//
// A task that is cancelled, and of which nothing is heard for the grace period, settles with ErrLost: the servers, or
// all workers, are out of reach, and it may run still.
//
// The last 16,384 cancellations of a client are remembered, for 25 hours. A cancelled task that no worker could take in that time, as there was none for it,
// runs when there is one.
//
// If a client does not take a result, the servers keep it for two hours, or for
// a week if its task has an id.
//
// Servers can lose a task or its result: a server starts again with an empty
// disk, a result expires before its client has taken it, or a stream is purged.
// So the client asks the servers about each task 30 seconds after it was sent,
// and then every 30 seconds. It asks about all tasks when it has reconnected,
// and when the servers have forgotten its session. So it notices a loss within
// 40 seconds, or within 2 seconds after it has reconnected. It asks about 50
// tasks per second, and about 256 per second after it has reconnected. With
// more outstanding tasks it takes longer in proportion. While the servers do
// not answer, it repeats its requests.
//
// The client sends a lost task again, unless the task has an id and its result
// is kept. If a worker still runs the task, it runs twice, and one result
// counts. After three resends the task settles with ErrLost.
//
// A task that was on its way to a worker whose connection broke at that instant is held by nobody until its lease ends: half
// a minute.
//
// Results of tasks with ids are looked for when there is a worker for the function: only then tasks leave the program.
//
// Of three servers one may be lost. Nothing comes while those that are left choose who leads: 4 to 14 seconds in the project's test of it (go test ./cluster -run TestStorm -storm 2000), which kills and cuts off each in turn. Tasks that
// a lost worker held come half a minute later.
//
// What a server says is stored is in its files, and survives the end of its process; the disk has it up to two minutes later, unless concertd is
// told --sync. So one server that loses its power may forget tasks and results of that time; of three, each with its own power, one may lose it.
//
// A client knows a worker and its functions, and a worker knows a cancellation,
// usually as soon as the servers have stored them. Whatever starts first,
// whatever restarts, and whenever the servers store what: a worker and its
// functions are known 30 seconds later at the latest, and 3 seconds later
// unless its heartbeats are lost too; a cancellation is known 3 seconds later.
// Add the time in which the servers answer a read, and the time for which they
// are away.
//
// If the clock of a server jumps forward, stored messages expire and leases
// end. Then tasks that are running may run twice, results that expire are lost
// as above, and a client that dials then may learn the functions of workers
// only five minutes later. If the clock jumps back by some time, the lease of a
// task whose worker is lost, and the pause between two attempts, last longer by
// that time. Nothing else takes longer. A client measures time with its
// monotonic clock, except for deadlines.
//
// If a worker, a client or the only server gets no CPU time for five seconds,
// because it is stopped or its machine is busy, its tasks are delayed by that
// time. No task fails, and none runs twice. Clients no longer count a worker
// that has been silent for ten seconds. After thirty seconds its tasks go to
// other workers. If one of three servers is stopped, the others elect another
// leader, as if it were lost. A task whose acknowledgment is lost at that
// moment runs twice.
//
// Who may do what, where servers ask for keys, is in docs/security.md.
//
// Workers of a Map's items are numbered in the order in which their places are heard of; the observer may be told that a task
// has started only when it has finished.
package cluster
