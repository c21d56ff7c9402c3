// Package cluster runs tasks on other machines. [Dial] returns an executor for
// package concert. Its workers are other programs, which call [Serve]. The
// servers between clients and workers are NATS servers: NATS JetStream provides
// the streams, the replication, the leases and the deduplication.
//
// A server is a concertd process. These commands start a server and a worker
// for programs of the same user on this machine, each in a terminal:
//
//	concertd dev                        # runs until Ctrl-C
//	concert worker statistics:fmean     # runs a Python function for all clients
//
// A client needs no URL for this server. A worker that runs Go functions,
// such as square, needs none either:
//
//	ex, err := cluster.Dial(ctx, "", nil)                // in a client
//	for n, err := range concert.Map(ctx, ex, square, inputs) { ... }
//
//	pool := goroutines.New(8, nil)                       // in a worker
//	err := cluster.Serve(ctx, "", pool, nil)
//
// For several machines, a server requires a key of each client and each worker.
// These commands make three keys (for a client, a worker and an admin), start
// such a server, and make two more keys:
//
//	concertd init                              # prints the next commands
//	concertd serve --listen 0.0.0.0:4222       # runs until Ctrl-C
//	concertd key --out ann.key client ann      # for a program that submits tasks
//	concertd key --out box1.key worker box1    # for a program that runs them
//
// The programs connect with their keys:
//
//	ann := cluster.Access{Key: "ann.key"}
//	ex, err := cluster.Dial(ctx, "tls://one.example:4222", &cluster.Options{Access: ann})
//
//	box1 := cluster.Access{Key: "box1.key"}
//	err := cluster.Serve(ctx, "tls://one.example:4222", pool, &cluster.ServeOptions{Access: box1})
//
// If the URL is empty, programs and the commands concert worker and concert
// status use the default server: see Dial.
//
// Other NATS servers with JetStream can be used instead of concertd. If they
// require no key, the options of Dial and Serve may be nil. Package
// concert/cluster/server runs a server inside a program.
//
// # The model
//
//	client                         servers                            worker
//	Submit, Map
//	   |
//	queue of the function
//	   | for each function: a task for each slot, and more if tasks are quick
//	   +----- task ------------->  CONCERT_TASKS    ---- pull ------>  slot 1..n
//	   |                           one consumer for                      | its executor
//	   |                           each capability set                   |
//	future <-- result, ack ------  CONCERT_RESULTS  <--- result, ack --- +
//	                               the first result counts               |
//	                               CONCERT_TASKS    <--- ack of the task-+
//
// CONCERT_TASKS and CONCERT_RESULTS are streams. A consumer is a JetStream
// consumer: it delivers the messages of a stream. A slot is the capacity of a
// worker for one running task. A worker offers the functions that are
// registered in its program. The set of these functions, with the types of
// their arguments and results, is its capability set. Workers that run another
// version of the program may have another capability set. Workers with
// different sets can run at the same time.
//
// Every few seconds the workers report their capability sets and slots. For
// each function, a client sends as many tasks as there are slots in workers
// that offer the function. If the tasks take less than 100 ms, the client sends
// more of them in advance: for each slot, enough tasks for 20 ms of work, at
// least one and at most 256. The other tasks wait in the client. So the queues
// on the servers are short, and a client does not delay the tasks of other
// clients for long. A task that is canceled while it waits in the client never
// runs.
//
// The client is in internal/client, and the worker is in internal/worker. These
// two packages do not import each other. Both import internal/jet (the
// connection), internal/members (which workers exist) and internal/wire (the
// messages).
//
// While no worker offers a function, the tasks of this function wait in the
// client, and Options.Notice is called.
//
// # The rules
//
//   - A task runs at least once, unless it is canceled first. It runs twice if
//     its worker is lost after the task has begun, if the servers lose the task
//     or its result, or if the servers' acknowledgment of the task does not
//     reach the client. Functions with side effects must tolerate a second run:
//     for example, they overwrite the same file, or send an id that the
//     receiver remembers.
//   - The submitter receives exactly one result: the first one that the servers
//     store.
//   - A worker publishes a result, waits until the servers have stored it, and
//     then acknowledges the task. If a worker has neither acknowledged a task
//     nor renewed the lease of the task for half a minute, the task goes to
//     another worker. After five such losses the task is abandoned: its error
//     is ErrDead, and it becomes a dead letter, which [Inspector] lists and
//     replays. If a worker stops, and a task still runs after the worker's
//     grace period, the task goes to another worker. This does not count as a
//     loss.
//   - The value or the error that a function returns is the result of the task.
//     If the submitter has used [WithRetry], the function runs again after an
//     error.
//   - If the context of a task ends before the task runs, the task is dropped.
//     If the context ends later, the context of the running function is
//     canceled, on any machine. The deadline of a context is sent as a point in
//     time, so the clocks of the machines should agree.
//   - Arguments and results of more than 256 KiB are sent in parts, in a stream
//     of their own. The parts are removed when they have been read, or after a
//     week if the task has an id.
//   - A value of concert.Share is stored once on the servers, and each worker
//     downloads it once. The section Shared values says more.
//   - The client also receives hints, which are messages about the start and
//     the progress of tasks. Hints may be lost, so use them only for display.
//   - [WithID] gives an id to a task. A program that starts again finds the
//     result of the task by this id.
//   - If no worker has the capability set of a task, the task goes to a worker
//     with another set that contains the function.
//
// # Details
//
// If a task submits an inner task to the same cluster and waits for it, the
// outer task keeps its slot. If outer tasks occupy all slots, the inner tasks
// get no slot, and no task continues. Give such waits a deadline, or let the
// client submit the inner tasks.
//
// If the cluster does not report the outcome of a canceled task within
// Options.Grace, because the servers or all workers cannot be reached, the task
// settles with ErrLost. The task may still run.
//
// The servers keep the last 16,384 cancellations of a client for 25 hours. If
// no worker receives a canceled task before the servers remove its
// cancellation, the task runs as soon as a worker offers its function.
//
// If a client does not receive a result, the servers keep the result for two
// hours, or for a week if its task has an id.
//
// A task with an id waits in the client until a worker offers its function.
// Only then, the client looks for a stored result of the task.
//
// Observers receive the number of a slot. The client numbers the slots of all
// workers in the order of their first messages about tasks. For a quick task,
// or if a hint is lost, the observer receives TaskStarted only when the task
// has finished.
//
// docs/security.md says who may do what if the servers require keys.
//
// # Shared values
//
// When a call uses a value of concert.Share for the first time, the client
// encodes the value, and stores it on the servers in parts. The messages of
// tasks contain the ID, the size and the SHA-256 of the value. A worker
// downloads the value once for all tasks, and compares the SHA-256. Then it
// passes the value to its executor, see executor.RelayShared. Some executors
// have workers in other processes, and cannot store values for them. Such an
// executor copies the value to the worker's process for each call. This is
// not possible if a codec has encoded the argument: then the call fails.
//
// A worker keeps the values that its tasks used last. ServeOptions.MaxBytes
// bounds their memory. If a worker has dropped a value, or is a new worker, it
// downloads the value again.
//
// When the handle or the client is closed, the client deletes the value from
// the servers. A task that starts later fails, unless its worker still has the
// value. The servers delete all values after a week, so the values of a client
// that has died do not stay. A client that still uses a value stores it again
// after half a week. It also does so when a task needs a value that the servers
// have lost. For this, the client keeps the encoded value in memory. For a
// string, a []byte and a slice of numbers, this is the memory of the value
// itself.
//
// Replaying a dead letter fails if the task uses a shared value that was
// deleted.
//
// An argument refers to at most 256 shared values. Further handles are encoded
// as their values.
//
// # Lost tasks and results
//
// Servers can lose a task or its result: a server starts again with an empty
// disk, a result expires before its client has received it, or a stream is
// purged. So the client checks each task 30 seconds after it was sent, and
// then every 30 seconds: it asks the servers whether they have the task or
// its result. The client checks all tasks when it has reconnected, and when
// the servers have deleted its session. So the client notices a loss within
// 40 seconds, or within 2 seconds after it has reconnected. It checks up to
// 50 tasks per second, and up to 256 tasks per second after it has
// reconnected. If it cannot check all outstanding tasks at this rate in
// time, it notices a loss later. While the servers do not answer, the client
// repeats its requests.
//
// The client sends a lost task again, unless the task has an id and its result
// is kept. If a worker still runs the lost task, the task runs twice, and one
// result counts. After three resends the task settles with ErrLost.
//
// If the connection of a worker breaks while the servers send a task to the
// worker, the task waits for half a minute, until its lease ends.
//
// # Failures of servers and machines
//
// A cluster of three servers continues when one is lost. While the other two
// elect a leader, no results arrive. The election takes 4 to 14 seconds in the
// project's test (go test ./cluster -run TestStorm -storm 2000), which kills or
// disconnects one server after the other. Tasks of a lost worker run on another
// worker half a minute later.
//
// A server writes a message to a file before it acknowledges the message. So
// the message survives a crash of the server process. The message is on the
// disk at most two minutes later, or at once with concertd serve --sync.
// Without --sync, a single server that loses power may lose the tasks and
// results of these two minutes. If three servers have separate power supplies,
// one of them can lose power without a loss of tasks.
//
// The servers store heartbeats, the functions of workers, and cancellations.
// Clients and workers usually receive each of these as soon as it is stored.
// In the worst case, a client receives a heartbeat 30 seconds later, and the
// functions of the worker 3 seconds after a heartbeat. A worker receives a
// cancellation 3 seconds later. These times do not depend on the order in
// which programs and servers start. Two times come in addition: the time in
// which the servers answer a read, and the time for which they cannot be
// reached.
//
// If the clock of a server jumps forward, stored messages expire and leases
// end. Then running tasks may run twice, and results that expire are lost as
// described above. A client that connects at this time may have to wait for up
// to five minutes until it receives the functions of the workers. If the clock
// jumps back by a minute, leases last a minute longer, and so does the pause
// between two attempts. So a task whose worker is lost goes to another worker a
// minute later. Nothing else takes longer. A client measures time with its
// monotonic clock, except for deadlines.
//
// If a worker, a client or the only server gets no CPU time for five seconds,
// because its process is suspended or its machine is busy, the tasks are
// delayed by five seconds. No task fails, and none runs twice. If a worker
// sends no heartbeat for ten seconds, clients no longer send tasks for its
// slots. After thirty seconds the tasks of this worker go to other workers. If
// one of three servers is suspended, the others elect another leader, as if the
// server were lost. A task whose acknowledgment is lost at that moment runs
// twice.
package cluster
