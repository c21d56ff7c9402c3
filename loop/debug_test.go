package loop_test

import (
	"bytes"
	"context"
	"errors"
	"regexp"
	"runtime/pprof"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"concert"
	"concert/loop"
)

// TestTree_States: Tree must show which coroutines exist, their groups, and
// what they do. Any goroutine may call Tree.
func TestTree_States(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		trees := make(chan string, 1)
		var m loop.Mutex
		loop.Run(t.Context(), &loop.Options{Name: "mine"}, func(ctx context.Context, g *loop.Group) error {
			m.Lock(ctx)
			g.Go(func(ctx context.Context) error {
				return loop.WithGroup(ctx, func(ctx context.Context, g *loop.Group) error {
					g.Go(m.Lock).SetName("child %d", 1)
					g.Go(sleeps(time.Hour, nil)).SetName("child 2")
					g.After(time.Hour, sleeps(0, nil)).SetName("child 3")
					g.Go(func(ctx context.Context) error {
						return loop.Block(ctx, func() error { time.Sleep(time.Hour); return nil })
					}).SetName("child 4")
					return nil
				})
			}).SetName("parent")
			loop.Yield(ctx)
			loop.Yield(ctx)
			g.Go(sleeps(0, nil)).SetName("new")
			l := loop.Of(ctx)
			loop.Block(ctx, func() error { time.Sleep(time.Minute); trees <- l.Tree(); return nil })
			m.Unlock()
			return nil
		})
		tree := regexp.MustCompile(`:\d+\)`).ReplaceAllString(<-trees, ")")
		for _, want := range []string{
			"mine: 6 coroutines\n",
			"\n    parent (loop/debug_test.go): waits in WithGroup for its children, 1m0s\n",
			"\n        child 1 (loop/debug_test.go): waits in Mutex.Lock, which loop_test.TestTree_States.func1.1 holds, 1m0s\n",
			"\n        child 2 (loop/debug_test.go): waits in Sleep, 1m0s\n",
			"\n        child 3 (loop/debug_test.go): waits in Group.After, 1m0s\n",
			"\n        child 4 (loop/debug_test.go): is outside in Block, 1m0s\n",
		} {
			if !strings.Contains(tree, want) {
				t.Errorf("Tree() lacks %q:\n%s", want, tree)
			}
		}
	})
}

// TestRun_ProfileLabels: in profiles, the goroutines of a loop must have the
// name of the loop, and the labels of the caller of Run. After Run, the caller
// must have its own labels again.
func TestRun_ProfileLabels(t *testing.T) {
	profile := func() string {
		var b bytes.Buffer
		pprof.Lookup("goroutine").WriteTo(&b, 1)
		return b.String()
	}
	pprof.Do(t.Context(), pprof.Labels("user", "Ann"), func(ctx context.Context) {
		loop.Run(ctx, &loop.Options{Name: "mine"}, func(ctx context.Context, g *loop.Group) error {
			g.Go(sleeps(time.Millisecond, nil))
			return loop.Block(ctx, func() error {
				if n := strings.Count(profile(), `"loop":"mine", "loop.number":`); n != 2 || !strings.Contains(profile(), `"user":"Ann"`) {
					t.Errorf("%d groups of goroutines with the label, want 2:\n%s", n, profile())
				}
				return nil
			})
		})
		if p := profile(); strings.Contains(p, `"loop":"mine"`) || !strings.Contains(p, `"user":"Ann"`) {
			t.Errorf("labels after Run:\n%s", p)
		}
	})
}

// TestTree_OrderAfterCancel: if a context is canceled, its children must keep
// their order in the tree.
func TestTree_OrderAfterCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		loop.Run(t.Context(), nil, func(ctx context.Context, g *loop.Group) error {
			inner, cancel := loop.WithCancel(ctx)
			return loop.WithGroup(inner, func(ctx context.Context, g *loop.Group) error {
				for _, name := range []string{"a", "b", "c"} {
					g.Go(sleeps(time.Hour, nil)).SetName("%s", name)
				}
				before := loop.Of(ctx).Tree()
				cancel(nil)
				if after := loop.Of(ctx).Tree(); after != before {
					t.Errorf("tree before the cancel:\n%s\nafter:\n%s", before, after)
				}
				return nil
			})
		})
	})
}

// TestTree_BelowCanceledContext: if a context is canceled, the coroutines below
// it must stay in the tree, and the program can start further coroutines below
// it.
func TestTree_BelowCanceledContext(t *testing.T) {
	tree := ""
	err := run(t, func(ctx context.Context, g *loop.Group) error {
		inner, cancel := loop.WithCancel(ctx)
		return loop.WithGroup(inner, func(ctx context.Context, g *loop.Group) error {
			g.Go(func(ctx context.Context) error { return new(loop.Event).Wait(loop.Shield(ctx)) }).SetName("stuck")
			loop.Yield(ctx)
			cancel(nil)
			loop.WithGroup(loop.Shield(inner), func(_ context.Context, g *loop.Group) error {
				g.Go(nothing).SetName("later")
				tree = loop.Of(ctx).Tree()
				return nil
			})
			return nil
		})
	})
	if !strings.Contains(tree, "stuck") || !strings.Contains(tree, "later") || !errors.Is(err, concert.ErrDeadlock) {
		t.Errorf("Run() = %v; the tree:\n%s", err, tree)
	}
}
