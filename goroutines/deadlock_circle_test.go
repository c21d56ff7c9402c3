package goroutines_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"concert"
	"concert/goroutines"
)

// circleWait is one wait of a circle: task i waits for task i+1.
type circleWait struct {
	own    time.Duration // deadline of the task, from its submission; 0 for none
	within time.Duration // deadline of the wait; 0 for none
	cancel time.Duration // when a goroutine cancels the wait's context; 0 for never
}

// circle runs tasks that wait for each other, each on a different pool. They
// begin one second after the other. The parameter first is the number of the
// task that begins first. A task whose wait fails returns its number. circle
// returns the error and the duration of each wait.
func circle(t *testing.T, waits []circleWait, first int) (errs []error, took []time.Duration) {
	n := len(waits)
	futures := make([]*concert.Future[int], n)
	turn := make([]chan struct{}, n)
	errs, took = make([]error, n), make([]time.Duration, n)
	for i, w := range waits {
		ex := goroutines.New(1, nil)
		defer ex.Close()
		turn[i] = make(chan struct{})
		ctx := context.WithoutCancel(t.Context())
		if w.own > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, w.own)
			defer cancel()
		}
		futures[i] = concert.Submit(ctx, ex, func(ctx context.Context, _ int) (int, error) {
			<-turn[i]
			if w.within > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, w.within)
				defer cancel()
			}
			if w.cancel > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithCancel(ctx)
				time.AfterFunc(w.cancel, cancel)
			}
			begin := time.Now()
			got, err := futures[(i+1)%n].Result(ctx)
			errs[i], took[i] = err, time.Since(begin)
			if err != nil {
				return i, nil
			}
			return got, nil
		}, 0)
	}
	synctest.Wait()
	for i := range n {
		close(turn[(first+i)%n])
		synctest.Wait()
		time.Sleep(time.Second)
	}
	for _, f := range futures {
		f.Result(t.Context())
	}
	return errs, took
}

// TestCircle_OneWaitCanEnd: if one wait of a circle can end without the
// others, the circle is no deadlock, whichever wait closes it. This one wait
// fails at its time, and the other waits return results.
func TestCircle_OneWaitCanEnd(t *testing.T) {
	const hour = time.Hour
	for _, c := range []struct {
		name  string
		waits []circleWait
		ends  int // the wait that can end
		err   error
	}{
		{"a deadline of the wait", []circleWait{{within: hour}, {}}, 0, context.DeadlineExceeded},
		{"of one of three", []circleWait{{}, {}, {within: hour}}, 2, context.DeadlineExceeded},
		{"a deadline of the task", []circleWait{{own: hour}, {}}, 0, context.DeadlineExceeded},
		{"several", []circleWait{{within: 2 * hour}, {own: hour}, {within: 3 * hour}}, 1, context.DeadlineExceeded},
		{"a cancellation of the wait", []circleWait{{}, {cancel: hour}}, 1, context.Canceled},
		{"of a task that waits for itself", []circleWait{{within: hour}}, 0, context.DeadlineExceeded},
	} {
		for first := range c.waits {
			t.Run(fmt.Sprint(c.name, " ", first), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					errs, took := circle(t, c.waits, first)
					for i, err := range errs {
						if i == c.ends {
							if !errors.Is(err, c.err) || errors.Is(err, concert.ErrDeadlock) || took[i] < hour-3*time.Second {
								t.Errorf("the wait of task %d returned %v after %v; want %v after an hour", i, err, took[i], c.err)
							}
						} else if err != nil {
							t.Errorf("the wait of task %d returned %v after %v", i, err, took[i])
						}
					}
				})
			})
		}
	}
}

// TestCircle_NoWaitCanEnd: if no wait of a circle can end without the
// others, exactly one wait fails: the wait that closes the circle. This
// holds although each task as a whole can be canceled.
func TestCircle_NoWaitCanEnd(t *testing.T) {
	for n := range 4 {
		waits := make([]circleWait, n+1)
		for first := range waits {
			synctest.Test(t, func(t *testing.T) {
				errs, took := circle(t, waits, first)
				last := (first + n) % (n + 1)
				for i, err := range errs {
					if i == last != errors.Is(err, concert.ErrDeadlock) || i == last && took[i] != 0 {
						t.Errorf("%d tasks, from task %d: the wait of task %d returned %v after %v", n+1, first, i, err, took[i])
					}
				}
			})
		}
	}
}

// TestCircle_AfterDeadline: one wait of a circle has a deadline. When its
// task then waits again without a deadline, the circle becomes a deadlock.
func TestCircle_AfterDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := goroutines.New(1, nil), goroutines.New(1, nil)
		defer a.Close()
		defer b.Close()
		var g *concert.Future[int]
		begin := make(chan struct{})
		f := concert.Submit(t.Context(), a, func(ctx context.Context, _ int) (int, error) {
			<-begin
			soon, cancel := context.WithTimeout(ctx, time.Hour)
			defer cancel()
			if _, err := g.Result(soon); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the wait with a deadline returned %v", err)
			}
			return g.Result(ctx)
		}, 0)
		g = concert.Submit(t.Context(), b, func(ctx context.Context, _ int) (int, error) { return f.Result(ctx) }, 0)
		close(begin)
		if _, err := f.Result(t.Context()); !errors.Is(err, concert.ErrDeadlock) {
			t.Errorf("the wait without a deadline returned %v, want ErrDeadlock", err)
		}
	})
}

// TestCircle_KindsOfWait: if one wait of a circle has a deadline, the circle is
// no deadlock. This wait may be Wait, AsCompleted, Gather or a Map. It must end
// at its deadline, and the other wait must return the result.
func TestCircle_KindsOfWait(t *testing.T) {
	for name, wait := range map[string]func(ctx context.Context, f *concert.Future[int]) error{
		"Wait": func(ctx context.Context, f *concert.Future[int]) error {
			concert.Wait(ctx, concert.AllCompleted, f)
			return context.Cause(ctx)
		},
		"AsCompleted": func(ctx context.Context, f *concert.Future[int]) error {
			for range concert.AsCompleted(ctx, f) {
			}
			return context.Cause(ctx)
		},
		"Gather": func(ctx context.Context, f *concert.Future[int]) error {
			_, err := concert.Gather(ctx, f)
			return err
		},
		"Map": func(ctx context.Context, f *concert.Future[int]) (last error) {
			ex := goroutines.New(1, nil)
			defer ex.Close()
			wait := func(ctx context.Context, _ int) (int, error) { return f.Result(ctx) }
			for _, err := range concert.Map(ctx, ex, wait, slices.Values([]int{1})) {
				last = err
			}
			return last
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := goroutines.New(1, nil), goroutines.New(1, nil)
				defer a.Close()
				defer b.Close()
				var g *concert.Future[int]
				begin := make(chan struct{})
				f := concert.Submit(t.Context(), a, func(ctx context.Context, _ int) (int, error) {
					<-begin
					soon, cancel := context.WithTimeout(ctx, time.Hour)
					defer cancel()
					if err := wait(soon, g); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, concert.ErrDeadlock) {
						t.Errorf("the wait with a deadline returned %v", err)
					}
					return 1, nil
				}, 0)
				g = concert.Submit(t.Context(), b, func(ctx context.Context, _ int) (int, error) {
					<-begin
					return f.Result(ctx)
				}, 0)
				close(begin)
				if got, err := g.Result(t.Context()); got != 1 || err != nil {
					t.Errorf("the wait without a deadline returned %d, %v; want the result", got, err)
				}
			})
		})
	}
}

// TestCircle_MapInputs: if waits form a circle through the inputs of a Map, the
// wait that closes the circle returns ErrDeadlock. The circle may be closed by
// the inputs, or by the task that waits for the Map. It may be at the end of a
// chain of waits.
func TestCircle_MapInputs(t *testing.T) {
	for _, between := range []int{0, 1, 3} {
		for _, closing := range []string{"inputs", "task"} {
			t.Run(fmt.Sprint(closing, between), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var pools []*goroutines.Pool
					for range 3 + between {
						pools = append(pools, goroutines.New(1, nil))
						defer pools[len(pools)-1].Close()
					}
					turns := map[string]chan struct{}{"inputs": make(chan struct{}), "task": make(chan struct{})}
					var f *concert.Future[int]
					failed := map[string]error{}
					mapped := concert.Submit(t.Context(), pools[0], func(ctx context.Context, _ int) (n int, last error) {
						inputs := func(yield func(int) bool) {
							<-turns["inputs"]
							got, err := f.Result(ctx)
							failed["inputs"] = err
							yield(got)
						}
						for _, err := range concert.Map(ctx, pools[1], square, inputs) {
							last = err
						}
						return 1, last
					}, 0)
					next := mapped
					for i := range between {
						awaited := next
						next = concert.Submit(t.Context(), pools[3+i], func(ctx context.Context, _ int) (int, error) { return awaited.Result(ctx) }, 0)
					}
					f = concert.Submit(t.Context(), pools[2], func(ctx context.Context, _ int) (int, error) {
						<-turns["task"]
						got, err := next.Result(ctx)
						failed["task"] = err
						return got, err
					}, 0)
					synctest.Wait()
					first := "inputs"
					if closing == first {
						first = "task"
					}
					close(turns[first])
					synctest.Wait()
					close(turns[closing])
					f.Result(t.Context())
					mapped.Result(t.Context())
					if !errors.Is(failed[closing], concert.ErrDeadlock) {
						t.Errorf("the wait of the %s returned %v, want ErrDeadlock; the other %v", closing, failed[closing], failed[first])
					}
				})
			})
		}
	}
}

// TestCircle_CanceledWait: if a task is canceled, its wait counts as ended at
// once, even before its goroutine runs again. So a wait for this task closes no
// circle.
func TestCircle_CanceledWait(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			a, b := goroutines.New(1, nil), goroutines.New(1, nil)
			defer a.Close()
			defer b.Close()
			begin := make(chan struct{})
			var g *concert.Future[int]
			f := concert.Submit(t.Context(), a, func(ctx context.Context, _ int) (int, error) {
				<-begin
				return g.Result(ctx)
			}, 0)
			g = concert.Submit(t.Context(), b, func(ctx context.Context, _ int) (int, error) {
				<-begin
				synctest.Wait()
				f.Cancel()
				return f.Result(ctx)
			}, 0)
			close(begin)
			if _, err := g.Result(t.Context()); !errors.Is(err, concert.ErrCanceled) || errors.Is(err, concert.ErrDeadlock) {
				t.Fatalf("the wait for a canceled task returned %v", err)
			}
		})
	}
}

// TestCircle_TwoPools: if two tasks on two pools wait for each other, the wait
// that closes the circle returns ErrDeadlock, and both tasks end.
func TestCircle_TwoPools(t *testing.T) {
	watch(t)
	a, b := goroutines.New(1, nil), goroutines.New(1, nil)
	defer a.Close()
	defer b.Close()
	futures := make(chan [2]*concert.Future[int], 2)
	wait := func(i int) func(context.Context, int) (int, error) {
		return func(ctx context.Context, _ int) (int, error) { return (<-futures)[i].Result(ctx) }
	}
	both := [2]*concert.Future[int]{
		concert.Submit(t.Context(), a, wait(1), 0),
		concert.Submit(t.Context(), b, wait(0), 0),
	}
	futures <- both
	futures <- both
	_, err := concert.Gather(t.Context(), both[0], both[1])
	if !errors.Is(err, concert.ErrDeadlock) {
		t.Errorf("errors of the circle: %v, want ErrDeadlock", err)
	}
}
