package cluster

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"

	"concert"
	"concert/cluster/internal/client"
	"concert/cluster/internal/jet"
	"concert/cluster/internal/wire"
	"concert/cluster/internal/worker"
	"concert/executor"
	"concert/internal/option"
)

// Options tunes an [Executor]; nil means the zero value.
type Options struct {
	Access

	// Client is the name of the client that submits the tasks: at most 64
	// letters, digits, "-" and "_". Programs with the same name share the
	// ids of tasks. Empty means "anyone". If the servers require keys, this
	// field is not used, because the public half of the key is the name.
	Client string

	// Queue is the maximum number of queued tasks of a function in this
	// process, in addition to the tasks that were sent to the cluster. Submit
	// blocks while the queue is full. Zero means 1024.
	Queue int

	// Grace is the time for which Shutdown waits for tasks that it has
	// canceled. If the outcome of a canceled task has not arrived from the
	// cluster after this time, the task settles with [ErrLost]. Zero means
	// 10 seconds.
	Grace time.Duration

	// Observer, if set, is called for each step of each task. The client
	// numbers the slots of all workers in the order of their first messages
	// about tasks.
	Observer concert.Observer

	// Notice is called with a line of text for the operator: for example, when
	// no worker offers the function of a task, or when a worker offers this
	// function again. Nil logs the lines as warnings to slog.Default().
	Notice func(text string)
}

const (
	defaultQueue = 1024
	defaultGrace = 10 * time.Second
)

// These are errors of tasks, in addition to the errors that functions return.
var (
	// ErrLost is wrapped by the error of a canceled task if no outcome arrives
	// from the cluster within Options.Grace. It is also wrapped by the error of
	// a task that was sent four times, if the servers lost the task or its
	// result each time. Such a task may have run, or may still run.
	ErrLost = client.ErrLost

	// ErrDead is wrapped by the error of a task that was abandoned because its
	// workers were lost five times. The task is among the dead letters.
	ErrDead = worker.ErrDead

	// ErrTooLarge is wrapped by the error of a task whose argument or result
	// has more than 1 GiB.
	ErrTooLarge = jet.ErrTooLarge
)

// Executor is a concert.Executor whose workers belong to a cluster. Make one
// with [Dial]. Its methods are safe for concurrent use.
type Executor struct{ client *client.Executor }

// made returns the client. It panics if the Executor was not made by Dial.
func (e *Executor) made() *client.Executor {
	if e == nil || e.client == nil {
		panic("cluster: the Executor is nil or zero: make it with Dial, and check its error")
	}
	return e.client
}

// Execute implements concert.Executor.
func (e *Executor) Execute(ctx context.Context, t *executor.Task) error {
	return e.made().Execute(ctx, t)
}

// Share implements executor.Sharer.
func (e *Executor) Share(ctx context.Context, encode func(executor.SharedCodec) (executor.Encoded, error)) (*executor.Stored, error) {
	return e.made().Share(ctx, encode)
}

// SharedGroup implements executor.LateSharer.
func (e *Executor) SharedGroup() *executor.WorkerGroup { return e.made().SharedGroup() }

// RelayShared implements executor.SharedRelayer.
func (e *Executor) RelayShared(ctx context.Context, id executor.SharedID, value executor.Encoded) (*executor.Stored, error) {
	return e.made().RelayShared(ctx, id, value)
}

// Width implements concert.Executor: it returns twice the number of slots of
// all workers, and at least 1.
func (e *Executor) Width() int { return e.made().Width() }

// Stats implements concert.Executor. It counts the tasks of this client
// only, but all workers that the servers list. A worker counts as busy if it
// ran tasks of any client at its last heartbeat. A task counts as Running
// when the client has received the message that the task has started. No
// such message arrives for quick tasks: they count as Queued until their
// results arrive. QueueTime ends when the task is sent to the servers, so it
// does not include the wait for a worker there. Sent and Received are the
// bytes of the connection. The client does not know when a worker is
// replaced, so Restarts is 0.
func (e *Executor) Stats() concert.Stats { return e.made().Stats() }

// Watch implements concert.Executor.
func (e *Executor) Watch(o concert.Observer) (stop func()) { return e.made().Watch(o) }

// Close implements concert.Executor: it waits until all accepted tasks have
// settled, however long that takes.
func (e *Executor) Close() error { return e.made().Close() }

// Shutdown implements concert.Executor. It also cancels the remaining tasks in
// the cluster.
func (e *Executor) Shutdown(ctx context.Context) error { return e.made().Shutdown(ctx) }

// Dial connects to a cluster. The URL names one server, or several with commas
// between them ("nats://host:4222", "tls://host:4222"). If no server can be
// reached, Dial fails. If the connection is lost later, tasks wait until it is
// restored.
//
// An empty URL means the default server. Dial uses the first of these rules
// that applies:
//
//  1. If CONCERT_URL is set, it is the URL. If Access.Key is empty, CONCERT_KEY
//     is the key file.
//  2. If Access.Key or CONCERT_KEY is set, the URL is nats://127.0.0.1:4222.
//  3. If the command "concertd dev" runs for the same user on this machine, its
//     server is the default server. It writes the URL, and the name of a key
//     file, to the file concert/dev.json in $XDG_RUNTIME_DIR, or in
//     [os.UserCacheDir] if this variable is not set.
//
// If no rule applies, Dial returns an error. With Access.TLS, an empty URL
// means nats://127.0.0.1:4222. If the URL is not empty, Dial reads no
// environment variable, and no file but Access.Key. [Serve], [Inspect] and
// [Setup] do the same.
func Dial(ctx context.Context, url string, opts *Options) (*Executor, error) {
	o := *cmp.Or(opts, &Options{})
	option.NotNegative("cluster: Dial", "Options.Queue", o.Queue)
	option.NotNegative("cluster: Dial", "Options.Grace", o.Grace)
	o.Queue = cmp.Or(o.Queue, defaultQueue)
	o.Grace = cmp.Or(o.Grace, defaultGrace)
	o.Client = cmp.Or(o.Client, wire.Anyone)
	if !wire.ValidToken(o.Client) {
		return nil, fmt.Errorf("cluster: Options.Client is %q; want at most 64 letters, digits, - and _", o.Client)
	}
	if o.Notice == nil {
		o.Notice = func(text string) { slog.Warn("cluster: " + text) }
	}
	ctx, stop := executor.Isolate(ctx)
	defer stop()
	conn, err := o.connect(ctx, url, "concert client")
	if err != nil {
		return nil, err
	}
	c, err := client.New(ctx, conn, client.Options{Client: o.Client, Queue: o.Queue, Grace: o.Grace, Observer: o.Observer, Notice: o.Notice})
	if err != nil {
		conn.Close()
		return nil, err
	}
	return &Executor{c}, nil
}
