package cluster_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"concert"
	"concert/cluster"
	"concert/cluster/internal/wire"
	"concert/cluster/server"
)

// TestCancel_Malformed: if a client publishes malformed cancellations, workers
// must still start and run the tasks of other clients.
func TestCancel_Malformed(t *testing.T) {
	k := newKeyring(t)
	rogue, honest, work := k.access(server.Client, "rogue"), k.access(server.Client, "honest"), k.access(server.Worker, "worker")
	s := guarded(t, k)
	key, nc := keyConn(t, s, rogue)
	subject, body := wire.Cancellation(key, "session", "1")
	for _, body := range [][]byte{nil, []byte("\r\n"), []byte("x"), {0}, body} {
		if _, err := nc.Request(subject, body, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	serveAt(t, s.URL(), work, 1)
	ex, err := cluster.Dial(t.Context(), s.URL(), &cluster.Options{Access: honest, Notice: func(string) {}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ex.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := concert.Submit(ctx, ex, square, 3).Result(ctx); err != nil {
		t.Fatal(err)
	}
}

// TestServe_EmptyTasks: if a client publishes empty messages as tasks, each
// task of another client must have its result within floodDelay.
func TestServe_EmptyTasks(t *testing.T) {
	k := newKeyring(t)
	rogue, honest, work := k.access(server.Client, "rogue"), k.access(server.Client, "honest"), k.access(server.Worker, "worker")
	admin := k.access(server.Admin, "admin")
	s := guarded(t, k)
	key, nc := keyConn(t, s, rogue)
	serveAt(t, s.URL(), work, 4)
	ex, err := cluster.Dial(t.Context(), s.URL(), &cluster.Options{Access: honest, Notice: func(string) {}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ex.Close() })
	in, err := cluster.Inspect(t.Context(), s.URL(), &admin)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	for len(in.Workers()) == 0 {
		time.Sleep(time.Millisecond)
	}
	empty := wire.TaskSubject(in.Workers()[0].Capabilities, key)
	for i := range 20 {
		// One request of the worker returns two empty messages, and then the
		// task.
		for range 2 {
			if err := nc.Publish(empty, nil); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), floodDelay)
		_, err := concert.Submit(ctx, ex, square, i).Result(ctx)
		cancel()
		if err != nil {
			t.Fatal(i, err)
		}
	}
}

// TestWithID_DamagedResult: if a kept result cannot be decoded, or has the id
// of another task, the call must settle with an error that says so.
func TestWithID_DamagedResult(t *testing.T) {
	s := embedded(t, "")
	access := cluster.Access{InProcess: s}
	serve(t, access, 1)
	ex := dial(t, access)
	_, js := raw(t, s)
	other := wire.Outcome{ID: wire.TaskID{Client: wire.Anyone, Number: "other"}}
	for id, stored := range map[string][]byte{"no result": []byte("\xff"), "another": other.Encode()} {
		t.Run(id, func(t *testing.T) {
			task := wire.TaskID{Client: wire.Anyone, Number: wire.Digest("cluster_test.square\x00-1\x00" + id)}
			if _, err := js.Publish(t.Context(), wire.ResultSubject(task), stored); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			_, err := concert.Submit(cluster.WithID(ctx, id), ex, square, 3).Result(ctx)
			cancel()
			if err == nil || !strings.Contains(err.Error(), "damaged") {
				t.Errorf("%s: %v, want that it is damaged", id, err)
			}
		})
	}
}
