package cluster_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"concert"
	"concert/cluster"
)

// TestCancelledNotKept: a task with an id that was cancelled, or whose time was over, while it ran has no outcome: it runs when it is wanted again.
func TestCancelledNotKept(t *testing.T) {
	access := cluster.Access{InProcess: embedded(t, "")}
	ex := dial(t, access)
	serve(t, access, 2)
	name, h := newHold(t)
	id := cluster.WithID(t.Context(), "stopped")
	for _, end := range []func(context.Context) (context.Context, context.CancelFunc){
		context.WithCancel,
		func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 300*time.Millisecond)
		},
	} {
		ctx, cancel := end(id)
		fut := concert.Submit(ctx, ex, held, name)
		<-h.began
		if _, hasDeadline := ctx.Deadline(); !hasDeadline {
			cancel()
		}
		if _, err := fut.Result(t.Context()); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		cancel()
	}
	again := concert.Submit(id, ex, held, name)
	<-h.began
	close(h.let)
	if got, err := again.Result(t.Context()); got != name || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	drained(t, ex)
}

// TestTwinsCancelled: two that wait for the same id are cancelled at once: what runs is, too.
func TestTwinsCancelled(t *testing.T) {
	access := cluster.Access{InProcess: embedded(t, "")}
	ex := dial(t, access)
	serve(t, access, 2)
	name, h := newHold(t)
	for i := range 5 {
		ctx, cancel := context.WithCancel(cluster.WithID(t.Context(), "twins"))
		twins := []*concert.Future[string]{concert.Submit(ctx, ex, held, name)}
		<-h.began
		twins = append(twins, concert.Submit(ctx, ex, held, name))
		for ex.Sent() < 2*(i+1) {
			time.Sleep(time.Millisecond)
		}
		cancel()
		for _, f := range twins {
			if _, err := f.Result(t.Context()); !errors.Is(err, context.Canceled) || errors.Is(err, cluster.ErrLost) {
				t.Errorf("%v", err)
			}
		}
		drained(t, ex)
	}
	if n := h.cancelled.Load(); n != 5 {
		t.Errorf("%d were cancelled where they ran", n)
	}
}

// TestTwinLong: a twin that waits for long is no task whose workers were lost.
func TestTwinLong(t *testing.T) {
	cluster.ShortLease(t, 300*time.Millisecond)
	access := cluster.Access{InProcess: embedded(t, "")}
	serve(t, access, 2)
	one, other := dial(t, access), dial(t, access)
	name, h := newHold(t)
	id := cluster.WithID(t.Context(), "long")
	first := concert.Submit(id, one, held, name)
	<-h.began
	second := concert.Submit(id, other, held, name)
	for n := uint64(0); n < 2; n, _ = one.Stored(t) {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(3 * time.Second) // ten leases, in which nothing should happen
	close(h.let)
	for _, f := range []*concert.Future[string]{first, second} {
		if got, err := f.Result(t.Context()); got != name || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
	drained(t, one)
	in, err := cluster.Inspect(t.Context(), "", &access)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if n, err := in.Dead(t.Context()); n != 0 || err != nil {
		t.Errorf("%d dead letters, %v", n, err)
	}
}

// TestNotStarved: a function whose tasks are quick, and many, leaves places to one whose tasks are not.
func TestNotStarved(t *testing.T) {
	access := cluster.Access{InProcess: embedded(t, "")}
	ex := dial(t, access)
	serve(t, access, 2)
	ctx, stop := context.WithCancel(t.Context())
	quick := make(chan struct{}, 1)
	done := concert.Go(ctx, func(ctx context.Context) (int, error) {
		n := 0
		for range concert.MapUnordered(ctx, ex, square, upTo(1<<40)) {
			if n++; n == 3000 {
				quick <- struct{}{}
			}
		}
		return n, nil
	})
	<-quick
	name, h := newHold(t)
	close(h.let)
	for range 5 {
		soon, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		if got, err := concert.Submit(soon, ex, held, name).Result(soon); got != name || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
		cancel()
	}
	stop()
	done.Result(context.Background())
}
