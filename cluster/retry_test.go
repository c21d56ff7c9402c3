package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"concert"
	"concert/cluster"
)

// trials counts the calls of a function with each argument.
var trials struct {
	mu sync.Mutex
	n  map[string]int // guarded by mu
}

func tried(name string) int {
	trials.mu.Lock()
	defer trials.mu.Unlock()
	return trials.n[name]
}

// fussy fails in.Fails times for each in.Name, and then succeeds.
var fussy = concert.Register("cluster.test.fussy", func(ctx context.Context, in trial) (int, error) {
	trials.mu.Lock()
	defer trials.mu.Unlock()
	if trials.n == nil {
		trials.n = map[string]int{}
	}
	if trials.n[in.Name]++; trials.n[in.Name] <= in.Fails {
		return 0, fmt.Errorf("%s, attempt %d: %w", in.Name, trials.n[in.Name], errFussy)
	}
	return trials.n[in.Name], nil
})

type trial struct {
	Name  string
	Fails int
}

var errFussy = concert.RegisterError("test.fussy", errors.New("not good enough"))

// TestWithRetry_Attempts: a task must run again until it succeeds or has no
// attempt left. Without options, a task must run only once.
func TestWithRetry_Attempts(t *testing.T) {
	t.Parallel()
	access := cluster.Access{InProcess: embedded(t, "")}
	serve(t, access, 2)
	ex := dial(t, access)
	quick := cluster.WithRetry(t.Context(), &concert.RetryOptions{Attempts: 4, Delay: 10 * time.Millisecond})

	if n, err := concert.Submit(quick, ex, fussy, trial{t.Name() + "third", 2}).Result(t.Context()); n != 3 || err != nil {
		t.Errorf("%d, %v; want the third attempt", n, err)
	}
	if n, err := concert.Submit(t.Context(), ex, fussy, trial{t.Name() + "none", 2}).Result(t.Context()); n != 0 || !errors.Is(err, errFussy) || tried(t.Name()+"none") != 1 {
		t.Errorf("%d, %v, %d attempts; want one", n, err, tried(t.Name()+"none"))
	}
	var inputs []trial
	for i := range 20 {
		inputs = append(inputs, trial{fmt.Sprint(t.Name(), "map", i), i % 4})
	}
	i := 0
	for n, err := range concert.Map(quick, ex, fussy, slices.Values(inputs)) {
		if n != i%4+1 || err != nil {
			t.Errorf("item %d: %d, %v", i, n, err)
		}
		i++
	}

	// After the last attempt, the task must be a dead letter. After Replay, a
	// Submit with the same id must receive the outcome of the next attempt.
	in, err := cluster.Inspect(t.Context(), "", &access)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	for i, name := range []string{"dead", strings.Repeat("a large argument", 50_000)} {
		id := cluster.WithID(quick, name[:4])
		_, err = concert.Submit(id, ex, fussy, trial{name, 4}).Result(t.Context())
		if !errors.Is(err, errFussy) || tried(name) != 4 {
			t.Errorf("%.100v after %d attempts, want 4", err, tried(name))
		}
		letters, err := in.DeadLetters(t.Context(), 0, 10)
		if err != nil || len(letters) != 1 || !strings.HasPrefix(letters[0].Reason, "failed 4 times: "+name[:4]) || letters[0].Function != "cluster.test.fussy" {
			t.Fatalf("%d: %+v, %v", i, letters, err)
		}
		if err := in.Replay(t.Context(), letters[0].Number); err != nil {
			t.Fatal(err)
		}
		if n, err := concert.Submit(id, ex, fussy, trial{name, 4}).Result(t.Context()); n != 5 || err != nil {
			t.Errorf("%d, %.100v; want the fifth attempt", n, err)
		}
	}
	if n, err := in.Dead(t.Context()); n != 0 || err != nil {
		t.Errorf("%d dead letters, %v", n, err)
	}
}

// TestWithRetry_CanceledBetweenAttempts: if a task is canceled between two
// attempts, the task must settle at once. If the next attempt would be after
// the deadline of a task, the task must settle at once, too.
func TestWithRetry_CanceledBetweenAttempts(t *testing.T) {
	access := cluster.Access{InProcess: embedded(t, "")}
	serve(t, access, 1)
	ex := dial(t, access)
	slow := cluster.WithRetry(t.Context(), &concert.RetryOptions{Attempts: 4, Delay: time.Hour, MaxDelay: time.Hour})

	fut := concert.Submit(slow, ex, fussy, trial{t.Name() + "canceled", 9})
	// While the first task waits for its next attempt, its slot must be free.
	if n, err := concert.Submit(t.Context(), ex, fussy, trial{t.Name() + "other", 0}).Result(t.Context()); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	for begin := time.Now(); tried(t.Name()+"canceled") == 0; time.Sleep(time.Millisecond) {
		if time.Since(begin) > 20*time.Second {
			t.Fatal("the task has not run")
		}
	}
	fut.Cancel()
	if _, err := fut.Result(t.Context()); !errors.Is(err, context.Canceled) || errors.Is(err, cluster.ErrLost) {
		t.Errorf("%v, want Canceled, and not ErrLost", err)
	}

	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) { // the worker must remove the canceled task from the servers
		if tasks, _ := ex.Stored(t); tasks == 0 {
			break
		} else if time.Since(begin) > 20*time.Second {
			t.Fatalf("the servers still hold %d tasks", tasks)
		}
	}

	soon, cancel := context.WithTimeout(slow, time.Minute)
	defer cancel()
	if _, err := concert.Submit(soon, ex, fussy, trial{t.Name() + "deadline", 9}).Result(t.Context()); !errors.Is(err, errFussy) || tried(t.Name()+"deadline") != 1 {
		t.Errorf("%v after %d attempts, want one", err, tried(t.Name()+"deadline"))
	}
	if n := tried(t.Name() + "canceled"); n != 1 {
		t.Errorf("the canceled task ran %d times, want once", n)
	}
}

func TestWithRetry_InvalidOptions(t *testing.T) {
	for _, o := range []concert.RetryOptions{{Attempts: -1}, {Attempts: 1001}, {Delay: -1}, {MaxDelay: 25 * time.Hour}, {If: func(error) bool { return true }}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%+v does not panic", o)
				}
			}()
			cluster.WithRetry(t.Context(), &o)
		}()
	}
}
