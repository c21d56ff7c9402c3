// Package cluster runs tasks on other machines. It has an executor for package
// concert whose workers are other programs ([Dial]), and the worker ([Serve]).
// Streams, replication, leases and deduplication are those of NATS JetStream.
//
// A server is a concertd process, which requires a key of each client and each
// worker. These commands start a server on this machine, and make two keys:
//
//	concertd serve                             # continues until Ctrl-C
//	concertd key --out ann.key client ann      # for a program that submits tasks
//	concertd key --out box1.key worker box1    # for a program that runs them
//
// The client's program connects with its key:
//
//	ann := cluster.Access{Key: "ann.key"}
//	ex, err := cluster.Dial(ctx, "nats://127.0.0.1:4222", &cluster.Options{Access: ann})
//	for n, err := range concert.Map(ctx, ex, square, inputs) { ... }
//
// On each machine that runs tasks, a program in which square is registered
// calls Serve:
//
//	box1 := cluster.Access{Key: "box1.key"}
//	pool := goroutines.New(8, nil)
//	err := cluster.Serve(ctx, "nats://127.0.0.1:4222", pool, &cluster.ServeOptions{Access: box1})
//
// Only the commands concert worker and concert status read the environment
// variables CONCERT_URL and CONCERT_KEY. Dial, Serve and Inspect do not.
//
// Other NATS servers with JetStream can be used too. They may require no key:
// then the options may be nil. Package concert/cluster/server runs a server
// inside a program.
//
// # The model
//
//	client                         servers                            worker
//	Submit, Map
//	   |
//	queue of the function
//	   | as many as there are slots
//	   +----- task ------------->  CONCERT_TASKS    ---- pull ------>  slot 1..n
//	   |                           one consumer for                      | its executor
//	   |                           each capability set                   |
//	future <-- result, ack ------  CONCERT_RESULTS  <--- result, ack --- +
//	                               the first result counts               |
//	                               CONCERT_TASKS    <--- ack of the task-+
//
// A slot is the capacity of a worker for one running task. A worker offers the
// functions that are registered in its program. The set of these functions,
// with the types of their arguments and results, is its capability set. Workers
// that run another version of the program may have another capability set, and
// both can work at the same time.
//
// Every few seconds the workers report their capability sets and slots. A
// client sends as many tasks of a function as there are slots, and more only if
// the tasks are quick. The other tasks wait in the client. So a canceled task
// in the client never runs, the queues on the servers are short, and a client
// does not delay the tasks of another client for long.
//
// The client is in internal/client, and the worker in internal/worker. Both use
// internal/jet (the connection), internal/members (which workers exist) and
// internal/wire (the messages), and neither imports the other.
//
// While no worker offers a function, its tasks wait in the client, and
// Options.Notice is called.
//
// # The rules
//
//   - A task runs at least once, unless it is canceled first. It runs twice if
//     its worker, or the report of its worker, is lost after the task has
//     begun, or if the servers' acknowledgment of the task is lost. Functions
//     with side effects must tolerate this: for example, they overwrite the
//     same file, or send an id that the receiver remembers.
//   - The submitter receives exactly one result: the first one that the servers
//     store.
//   - A worker publishes a result, waits until the servers have stored it, and
//     then acknowledges the task. If a worker has not acknowledged a task, and
//     has not reported about it for half a minute, the task goes to another
//     worker. After five such losses the task is abandoned: its error is
//     ErrDead, and it becomes a dead letter, which [Inspector] lists and
//     replays. A task that outlives the grace period of a worker that stops
//     goes to another worker, and this does not count as a loss.
//   - The value or the error that a function returns is its result, unless the
//     submitter has used [WithRetry].
//   - If the context of a task ends, the task is dropped, or the context of its
//     function is canceled, on any machine. The deadline of a context is sent
//     as a time, so the clocks of the machines should agree.
//   - Arguments and results of more than 256 KiB are sent in parts, in a stream
//     of their own. The parts are removed when they have been read, or after a
//     week if the task has an id.
//   - The client also receives hints: messages that a task runs, and its
//     progress. Hints may be lost. They are for display only.
//   - [WithID] gives ids to tasks. By the ids, a program that starts again
//     finds the results of such tasks.
//   - When a capability set has no workers, its tasks go to workers with
//     another set that has the function.
//
// # Details
//
// A task that submits a task to the same cluster, and waits for it, keeps its
// slot while it waits. If the tasks in all slots wait for tasks without a slot,
// none of them continues. Give such waits a deadline, or let the client submit
// the inner tasks.
//
// If the cluster does not report the end of a canceled task within
// Options.Grace, because the servers or all workers cannot be reached, the task
// settles with ErrLost. The task may still run.
//
// The last 16,384 cancellations of a client are kept for 25 hours. A canceled
// task that no worker has received in this time runs when a worker offers its
// function.
//
// If a client does not receive a result, the servers keep the result for two
// hours, or for a week if its task has an id.
//
// The client looks for the result of a task with an id only when a worker
// offers the function, because tasks wait in the client until then.
//
// The slots of workers are numbered in the order in which the client learns of
// them. The observer may receive TaskStarted only when the task has finished.
//
// docs/security.md says who may do what if the servers require keys.
//
// # Lost tasks and results
//
// Servers can lose a task or its result: a server starts again with an empty
// disk, a result expires before its client has received it, or a stream is
// purged. So the client asks the servers about each task 30 seconds after it
// was sent, and then every 30 seconds. It asks about all tasks when it has
// reconnected, and when the servers have deleted its session. So it notices a
// loss within 40 seconds, or within 2 seconds after it has reconnected. It asks
// about 50 tasks per second, and about 256 per second after it has reconnected.
// With more outstanding tasks it takes longer in proportion. While the servers
// do not answer, it repeats its requests.
//
// The client sends a lost task again, unless the task has an id and its result
// is kept. If a worker still runs the task, it runs twice, and one result
// counts. After three resends the task settles with ErrLost.
//
// If the connection of a worker breaks while the servers send it a task, the
// task waits for half a minute, until its lease ends.
//
// # Failures of servers and machines
//
// A cluster of three servers continues when one is lost. While the others elect
// a leader, no results arrive. This takes 4 to 14 seconds in the project's test
// (go test ./cluster -run TestStorm -storm 2000), which kills or disconnects
// one server after the other. Tasks of a lost worker run on another worker half
// a minute later.
//
// A server acknowledges a message after it has written it to a file. So the
// message survives a crash of the server process. The operating system writes
// it to the disk up to two minutes later, or at once with concertd serve
// --sync. Without --sync, a single server that loses power may lose the tasks
// and results of these two minutes. If there are three servers with separate
// power supplies, one of them can lose power without a loss of tasks.
//
// When the servers have stored a heartbeat, a function or a cancellation,
// clients and workers usually receive it at once. In the worst case, a client
// receives a worker and its functions 30 seconds later, or 3 seconds later if a
// heartbeat arrives, and a worker receives a cancellation 3 seconds later. This
// does not depend on the order in which programs and servers start. Add the
// time in which the servers answer a read, and the time for which they cannot
// be reached.
//
// If the clock of a server jumps forward, stored messages expire and leases
// end. Then running tasks may run twice, results that expire are lost as
// described above, and a client that connects at this time may receive the
// functions of workers only five minutes later. If the clock jumps back by some
// time, the lease of a task whose worker is lost, and the pause between two
// attempts, last longer by that time. Nothing else takes longer. A client
// measures time with its monotonic clock, except for deadlines.
//
// If a worker, a client or the only server gets no CPU time for five seconds,
// because it is stopped or its machine is busy, its tasks are delayed by that
// time. No task fails, and none runs twice. Clients no longer count a worker
// that has been silent for ten seconds. After thirty seconds its tasks go to
// other workers. If one of three servers is stopped, the others elect another
// leader, as if it were lost. A task whose acknowledgment is lost at that
// moment runs twice.
package cluster
