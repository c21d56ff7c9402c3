package cluster_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"concert"
	"concert/cluster"
	"concert/cluster/server"
	"concert/goroutines"
)

var (
	visits atomic.Int64 // number of calls of the functions resident and late
	begun  = make(chan struct{}, 100)

	// In its first runs, resident returns only when its context ends. Then it
	// fails once, and after that it succeeds.
	resident = concert.Register("cluster_test.resident", func(ctx context.Context, stays int64) (int64, error) {
		n := visits.Add(1)
		begun <- struct{}{}
		switch {
		case n <= stays:
			<-ctx.Done()
			return n, context.Cause(ctx)
		case n == stays+1:
			return n, errors.New("the first run that was not released")
		}
		return n, nil
	})
)

// TestServe_ReleasesNotCounted: if a worker drains and returns an unfinished
// task to the servers, this must count neither as a loss of the worker nor as
// an attempt.
func TestServe_ReleasesNotCounted(t *testing.T) {
	t.Parallel()
	k := newKeyring(t)
	client, work := k.access(server.Client, "client"), k.access(server.Worker, "worker")
	s := guarded(t, k)
	ex, err := cluster.Dial(t.Context(), s.URL(), &cluster.Options{Access: client, Notice: func(s string) { t.Log(s) }})
	if err != nil {
		t.Fatal(err)
	}
	defer ex.Close()
	visits.Store(0)
	const stays = 8 // more than the losses that a task may cause
	retry := cluster.WithRetry(t.Context(), &concert.RetryOptions{Attempts: 2, Delay: time.Millisecond})
	fut := concert.Submit(retry, ex, resident, stays)
	awaitVisit := func() {
		select {
		case <-begun:
		case <-fut.Done(): // the task must not settle yet; the check at the end reports that
		}
	}
	for range stays + 1 {
		pool := goroutines.New(1, nil)
		ctx, stop := context.WithCancel(t.Context())
		var serving sync.WaitGroup
		serving.Go(func() {
			err := cluster.Serve(ctx, s.URL(), pool, &cluster.ServeOptions{Access: work, Grace: time.Millisecond, Notice: func(s string) { t.Error(s) }})
			if err != nil {
				t.Error(err)
			}
		})
		awaitVisit()
		if visits.Load() > stays { // the task has failed, and runs again on this worker
			awaitVisit()
		}
		stop()
		serving.Wait()
		pool.Close()
	}
	if n, err := fut.Result(t.Context()); n != stays+2 || err != nil {
		t.Errorf("%d, %v; want %d, nil", n, err, stays+2)
	}
}

// late returns a large result when its context ends.
var late = concert.Register("cluster_test.late", func(ctx context.Context, size int) ([]byte, error) {
	visits.Add(1)
	begun <- struct{}{}
	<-ctx.Done()
	return make([]byte, size), nil
})

// TestServe_ResultAfterGrace: if a task returns a result after the grace period
// of its worker, the result must count, even if the result does not fit into a
// message.
func TestServe_ResultAfterGrace(t *testing.T) {
	access := cluster.Access{InProcess: embedded(t, "")}
	ex := dial(t, access)
	pool := goroutines.New(1, nil)
	defer pool.Close()
	ctx, stop := context.WithCancel(t.Context())
	serving := make(chan error, 1)
	go func() {
		serving <- cluster.Serve(ctx, "", pool, &cluster.ServeOptions{Access: access, Grace: time.Millisecond, Notice: func(s string) { t.Error(s) }})
	}()
	visits.Store(0)
	fut := concert.Submit(t.Context(), ex, late, 1<<20)
	<-begun
	stop()
	if err := <-serving; err != nil {
		t.Error(err)
	}
	serve(t, access, 1) // for the tasks that the first worker has released
	if b, err := fut.Result(t.Context()); err != nil || len(b) != 1<<20 || visits.Load() != 1 {
		t.Errorf("%d bytes, %v, after %d attempts", len(b), err, visits.Load())
	}
}

// TestServe_ExecutorClosed: if the executor of a worker is closed, Serve must
// return ErrClosed, and the worker's tasks must go to other workers.
func TestServe_ExecutorClosed(t *testing.T) {
	access := cluster.Access{InProcess: embedded(t, "")}
	ex := dial(t, access)
	closed := goroutines.New(1, nil)
	closed.Close()
	ended := make(chan error, 1)
	go func() {
		ended <- cluster.Serve(t.Context(), "", closed, &cluster.ServeOptions{Access: access, Slots: 1})
	}()
	fut := concert.Submit(t.Context(), ex, count, 7_000_001)
	select {
	case err := <-ended:
		if !errors.Is(err, concert.ErrClosed) {
			t.Errorf("%v", err)
		}
	case <-t.Context().Done():
	}
	serve(t, access, 1)
	if n, err := fut.Result(t.Context()); n != 7_000_001*7_000_001 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}
