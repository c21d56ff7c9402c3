package cluster

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"concert/cluster/internal/jet"
	"concert/cluster/internal/members"
	"concert/cluster/internal/wire"
	"concert/executor"
)

// Inspector shows the state of a cluster: its workers, the waiting tasks and
// the dead letters. Make one with [Inspect]. Its methods are safe for
// concurrent use, and block until the servers have answered or ctx ends.
type Inspector struct {
	conn    *jet.Conn
	members *members.View
	end     context.CancelFunc
}

// Inspect connects to a cluster, as Dial does.
func Inspect(ctx context.Context, url string, access *Access) (*Inspector, error) {
	access = cmp.Or(access, &Access{})
	ctx, stop := executor.Isolate(ctx)
	defer stop()
	conn, err := access.connect(ctx, url, "concert inspector")
	if err != nil {
		return nil, err
	}
	in := &Inspector{conn: conn, members: members.NewView(conn.Times, func() {})}
	life, end := context.WithCancel(context.Background())
	in.end = end
	err = in.conn.EnsureSetup(ctx, wire.AdminRole)
	if err == nil {
		err = in.members.Watch(ctx, life, in.conn)
	}
	if err != nil {
		in.Close()
		return nil, err
	}
	return in, nil
}

// Close ends the connection. It returns nil.
func (in *Inspector) Close() error {
	in.end()
	in.conn.Close()
	return nil
}

// Worker describes a worker that has sent a heartbeat within the last seconds.
type Worker struct {
	ID           string    `json:"id"`
	Key          string    `json:"key"` // the public key; "" if the servers require no keys
	Host         string    `json:"host"`
	Pid          int       `json:"pid"`
	Capabilities string    `json:"capabilities"` // the same for workers with the same functions
	Functions    []string  `json:"functions"`    // by name
	Slots        int       `json:"slots"`        // the number of tasks that the worker can run concurrently
	Running      int       `json:"running"`      // number of running tasks at the time of the last heartbeat
	Finished     int64     `json:"finished"`     // number of tasks that had ended at that time
	Failed       int64     `json:"failed"`       // number of these tasks that returned an error
	Since        time.Time `json:"since"`        // when the worker started
	Draining     bool      `json:"draining"`     // the worker is stopping and accepts no more tasks
	Heard        time.Time `json:"heard"`        // when the servers received the last heartbeat; it is a little wrong if the clocks of the machines differ
}

// Workers returns the workers, sorted by host and then by start time.
func (in *Inspector) Workers() []Worker {
	var all []Worker
	for _, w := range in.members.Workers() {
		functions := sortedKeys(w.Functions)
		for i := range functions {
			functions[i] = wire.Printable(functions[i])
		}
		key, _, _ := strings.Cut(w.ID, ".")
		if !isKey(key) {
			key = ""
		}
		all = append(all, Worker{
			Key: key, Heard: w.Heard,
			ID: wire.Printable(w.ID), Host: wire.Printable(w.Host), Pid: w.Pid, Capabilities: wire.Printable(w.Capabilities), Functions: functions,
			Slots: w.Slots, Running: w.Running, Finished: w.Finished, Failed: w.Failed, Since: w.Since, Draining: w.Draining,
		})
	}
	slices.SortFunc(all, func(a, b Worker) int {
		return cmp.Or(strings.Compare(a.Host, b.Host), a.Since.Compare(b.Since), strings.Compare(a.ID, b.ID))
	})
	return all
}

// isKey reports whether a text is a public key. The owners of workers and tasks
// are public keys if the servers require keys.
func isKey(text string) bool { return nkeys.IsValidPublicUserKey(text) }

// Names returns the names that the keyring of the servers has for public keys,
// such as [Worker.Key] and [Queue.Client]. It omits texts that are not public
// keys, and keys that were revoked. If the servers require no keys, there are
// no names.
func (in *Inspector) Names(ctx context.Context, keys []string) (map[string]string, error) {
	names, err := in.conn.Names(ctx, slices.DeleteFunc(slices.Clone(keys), func(k string) bool { return !isKey(k) }))
	if err != nil {
		return nil, fmt.Errorf("cluster: reading the names of keys: %w", err)
	}
	for key, name := range names {
		names[key] = wire.Printable(name)
	}
	return names, nil
}

// Queue is the number of tasks that one client has sent to the workers with one
// capability set, and that have no result yet. Running tasks are counted. Tasks
// that wait in the client are not counted.
type Queue struct {
	Capabilities string `json:"capabilities"`
	Client       string `json:"client"`
	Tasks        uint64 `json:"tasks"`
}

// Queues returns the queues that are not empty, sorted by capability set and
// client.
func (in *Inspector) Queues(ctx context.Context) ([]Queue, error) {
	stream, err := in.conn.JS.Stream(ctx, wire.TaskStream)
	if err != nil {
		return nil, fmt.Errorf("cluster: reading the numbers of tasks: %w", err)
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(wire.TaskSubject("*", "*")))
	if err != nil {
		return nil, fmt.Errorf("cluster: reading the numbers of tasks: %w", err)
	}
	var all []Queue
	for subject, n := range info.State.Subjects {
		if parts := strings.Split(subject, "."); len(parts) == 4 {
			all = append(all, Queue{Capabilities: wire.Printable(parts[2]), Client: wire.Printable(parts[3]), Tasks: n})
		}
	}
	slices.SortFunc(all, func(a, b Queue) int {
		return cmp.Or(strings.Compare(a.Capabilities, b.Capabilities), strings.Compare(a.Client, b.Client))
	})
	return all, nil
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
