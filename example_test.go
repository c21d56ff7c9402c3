package concert_test

import (
	"context"
	"encoding/json"
	"errors"
	"expvar"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"concert"
	"concert/gil"
	"concert/goroutines"
)

func shout(_ context.Context, s string) (string, error) {
	if s == "" {
		return "", errors.New("nothing to shout")
	}
	return strings.ToUpper(s) + "!", nil
}

// A task is submitted here and runs on a worker. Result waits for its outcome.
func ExampleSubmit() {
	ctx := context.Background()
	ex := goroutines.New(4, nil)
	defer ex.Close()

	fut := concert.Submit(ctx, ex, shout, "hello")
	fmt.Println(fut.Result(ctx))
	// Output: HELLO! <nil>
}

// Many calls use one large value. If workers are processes, they share one
// copy of the value. If they are goroutines, as here, they use the value
// itself.
func ExampleShare() {
	ctx := context.Background()
	ex := goroutines.New(4, nil)
	defer ex.Close()

	prices, err := concert.Share(ctx, ex, []float64{3, 1, 4, 1, 5, 9, 2, 6})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer prices.Close()

	type days struct {
		Prices   *concert.Shared[[]float64]
		From, To int
	}
	highest := func(_ context.Context, d days) (float64, error) {
		return slices.Max(d.Prices.Value()[d.From:d.To]), nil
	}
	fmt.Println(concert.Collect(ctx, ex, highest, slices.Values([]days{{prices, 0, 4}, {prices, 4, 8}})))
	// Output: [4 9] <nil>
}

// A function returns a large slice without a copy to the submitter. The
// submitter releases the slice when it no longer needs it.
func ExampleNewMapped() {
	ctx := context.Background()
	ex := goroutines.New(1, nil)
	defer ex.Close()

	squares := func(_ context.Context, n int) (*concert.Mapped[int64], error) {
		v := make([]int64, n)
		for i := range v {
			v[i] = int64(i * i)
		}
		return concert.NewMapped(v), nil
	}
	result, err := concert.Submit(ctx, ex, squares, 5).Result(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer result.Close()
	fmt.Println(result.Value())
	// Output: [0 1 4 9 16]
}

// An overloaded service drops a task instead of waiting for room.
func ExampleTrySubmit() {
	ctx := context.Background()
	ex := goroutines.New(1, &goroutines.Options{Queue: 1})
	defer ex.Close()

	started, finish := make(chan struct{}), make(chan struct{})
	concert.Submit(ctx, ex, func(context.Context, int) (int, error) {
		close(started)
		<-finish
		return 0, nil
	}, 0)
	<-started // the only worker is busy

	first, ok := concert.TrySubmit(ctx, ex, shout, "first")
	fmt.Println("first:", ok)
	_, ok = concert.TrySubmit(ctx, ex, shout, "second")
	fmt.Println("second:", ok)
	close(finish)
	fmt.Println(first.Result(ctx))
	// Output:
	// first: true
	// second: false
	// FIRST! <nil>
}

// Tasks whose results have different types run concurrently: submit all of
// them, and then wait for each future.
func ExampleSubmit_differentTypes() {
	ctx := context.Background()
	ex := goroutines.New(4, nil)
	defer ex.Close()

	nameOf := func(_ context.Context, user int) (string, error) { return "Ada", nil }
	ordersOf := func(_ context.Context, user int) ([]int, error) {
		if user == 0 {
			return nil, errors.New("no such user")
		}
		return []int{101, 102}, nil
	}
	load := func(user int) (string, []int, error) {
		name := concert.Submit(ctx, ex, nameOf, user)     // *concert.Future[string]
		orders := concert.Submit(ctx, ex, ordersOf, user) // *concert.Future[[]int]
		n, err1 := name.Result(ctx)
		o, err2 := orders.Result(ctx)
		return n, o, errors.Join(err1, err2)
	}
	fmt.Println(load(7))
	fmt.Println(load(0))
	// Output:
	// Ada [101 102] <nil>
	// Ada [] no such user
}

// A function is applied to many inputs. Map takes the next inputs when the
// loop has taken results. Each error belongs to one input. Leaving the loop
// ends the Map.
func ExampleMap() {
	ctx := context.Background()
	ex := goroutines.New(4, nil)
	defer ex.Close()

	for s, err := range concert.Map(ctx, ex, shout, slices.Values([]string{"one", "two", "", "four"})) {
		if err != nil {
			fmt.Println("stopped:", err)
			break
		}
		fmt.Println(s)
	}
	// Output:
	// ONE!
	// TWO!
	// stopped: nothing to shout
}

// Results arrive in the order in which they finish.
func ExampleMapUnordered() {
	ctx := context.Background()
	ex := goroutines.New(3, nil)
	defer ex.Close()

	var finished [4]chan struct{} // each call waits until the loop has received the result of the next one
	for i := range finished {
		finished[i] = make(chan struct{})
	}
	close(finished[3])
	call := func(_ context.Context, n int) (int, error) {
		<-finished[n+1]
		return n, nil
	}
	for n := range concert.MapUnordered(ctx, ex, call, slices.Values([]int{0, 1, 2})) {
		fmt.Println(n)
		close(finished[n])
	}
	// Output:
	// 2
	// 1
	// 0
}

// Go runs a function on a goroutine, and Result waits for the outcome.
func ExampleGo() {
	ctx := context.Background()
	fut := concert.Go(ctx, func(context.Context) (int, error) { return 6 * 7, nil })
	fmt.Println(fut.Result(ctx))
	// Output: 42 <nil>
}

// Futures arrive as they settle. A map finds the input of each future.
func ExampleAsCompleted() {
	ctx := context.Background()
	ex := goroutines.New(2, nil)
	defer ex.Close()

	words := map[*concert.Future[string]]string{}
	var futures []*concert.Future[string]
	for _, w := range []string{"a", "b", ""} {
		f := concert.Submit(ctx, ex, shout, w)
		words[f] = w
		futures = append(futures, f)
	}
	var lines []string
	for f := range concert.AsCompleted(ctx, futures...) {
		s, err := f.Result(ctx)
		lines = append(lines, fmt.Sprintf("%q: %q %v", words[f], s, err))
	}
	slices.Sort(lines)
	fmt.Println(strings.Join(lines, "\n"))
	// Output:
	// "": "" nothing to shout
	// "a": "A!" <nil>
	// "b": "B!" <nil>
}

// MapIndexed returns each result with the index of its input. The error of a
// task also has the label of the input.
func ExampleMapIndexed() {
	ex := goroutines.New(4, nil)
	defer ex.Close()

	paths := []string{"cat.jpg", "dog.jpg", "broken.jpg"}
	size := func(_ context.Context, path string) (int, error) {
		if path == "broken.jpg" {
			panic("no JPEG")
		}
		return len(path), nil
	}
	ctx := concert.WithInputLabels(context.Background(), func(path string) string { return path })
	sizes := make([]int, len(paths))
	for got, err := range concert.MapIndexed(ctx, ex, size, slices.Values(paths)) {
		if p, ok := errors.AsType[*concert.PanicError](err); ok {
			fmt.Printf("input %d, %s: %v\n", p.Input.Index, p.Input.Label, p.Value)
		}
		sizes[got.Index] = got.Value
	}
	fmt.Println(sizes)
	// Output:
	// input 2, broken.jpg: no JPEG
	// [7 7 0]
}

// Collect returns all results, or the first error.
func ExampleCollect() {
	ctx := context.Background()
	ex := goroutines.New(4, nil)
	defer ex.Close()

	fmt.Println(concert.Collect(ctx, ex, shout, slices.Values([]string{"one", "two", "three"})))
	fmt.Println(concert.Collect(ctx, ex, shout, slices.Values([]string{"one", "", "three"})))
	// Output:
	// [ONE! TWO! THREE!] <nil>
	// [] nothing to shout
}

// A label describes a task, and InputOf finds it in the error of the task.
func ExampleInputOf() {
	ex := goroutines.New(4, nil)
	defer ex.Close()

	ctx := concert.WithLabel(context.Background(), "cat.jpg")
	resize := func(_ context.Context, width int) (int, error) { return 1000 / width, nil }
	_, err := concert.Submit(ctx, ex, resize, 0).Result(ctx)
	if in := concert.InputOf(err); in != nil {
		fmt.Println(in.Label, "failed")
	}
	// Output:
	// cat.jpg failed
}

// Wait returns at the first failure, and the remaining tasks are canceled.
func ExampleWait() {
	ctx := context.Background()
	ex := goroutines.New(3, nil)
	defer ex.Close()

	patient := func(ctx context.Context, d time.Duration) (string, error) {
		select {
		case <-time.After(d):
			return "done", nil
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
	futures := []*concert.Future[string]{
		concert.Submit(ctx, ex, patient, time.Hour),
		concert.Submit(ctx, ex, shout, ""),
	}
	done, rest := concert.Wait(ctx, concert.FirstError, futures...)
	for _, f := range rest {
		f.Cancel()
	}
	_, err := done[0].Result(ctx)
	fmt.Println(len(done), len(rest), err)
	_, err = rest[0].Result(ctx)
	fmt.Println(errors.Is(err, context.Canceled))
	// Output:
	// 1 1 nothing to shout
	// true
}

// Gather returns all values in order, and all errors joined.
func ExampleGather() {
	ctx := context.Background()
	ex := goroutines.New(2, nil)
	defer ex.Close()

	values, err := concert.Gather(ctx,
		concert.Submit(ctx, ex, shout, "a"),
		concert.Submit(ctx, ex, shout, ""),
		concert.Submit(ctx, ex, shout, "c"))
	fmt.Printf("%q %v\n", values, err)
	// Output: ["A!" "" "C!"] nothing to shout
}

// If the context of a wait ends, the task continues.
func ExampleFuture_Result() {
	ex := goroutines.New(1, nil)
	defer ex.Close()
	gate := make(chan struct{})
	fut := concert.Submit(context.Background(), ex, func(context.Context, int) (string, error) {
		<-gate
		return "worth the wait", nil
	}, 0)

	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	_, err := fut.Result(ctx)
	fmt.Println(err, fut.State())
	close(gate)
	fmt.Println(fut.Result(context.Background()))
	// Output:
	// context deadline exceeded running
	// worth the wait <nil>
}

// A canceled task that has not started never runs.
func ExampleFuture_Cancel() {
	ctx := context.Background()
	ex := goroutines.New(1, nil)
	defer ex.Close()
	gate := make(chan struct{})
	concert.Submit(ctx, ex, func(context.Context, int) (int, error) { <-gate; return 0, nil }, 0)
	fut := concert.Submit(ctx, ex, shout, "hello")

	fmt.Println(fut.Cancel(), fut.State())
	close(gate)
	_, err := fut.Result(ctx)
	fmt.Println(err)
	// Output:
	// true canceled
	// concert: task canceled before it started
}

// A callback receives the future when the task has settled.
func ExampleFuture_OnDone() {
	ctx := context.Background()
	ex := goroutines.New(1, nil)
	done := make(chan struct{})
	concert.Submit(ctx, ex, shout, "ready").OnDone(ctx, func(ctx context.Context, f *concert.Future[string]) {
		defer close(done)
		s, _ := f.Result(ctx)
		fmt.Println("called with", s)
	})
	<-done
	ex.Close()
	// Output: called with READY!
}

// A select waits for a future or a timeout.
func ExampleFuture_Done() {
	ctx := context.Background()
	fut := concert.Go(ctx, func(context.Context) (string, error) { return "first", nil })
	select {
	case <-fut.Done():
		fmt.Println(fut.Result(ctx))
	case <-time.After(time.Minute):
		fmt.Println("too late")
	}
	// Output: first <nil>
}

// Retry returns a function that calls another function again if it fails. The
// returned function can run on every executor.
func ExampleRetry() {
	ctx := context.Background()
	ex := goroutines.New(1, nil)
	defer ex.Close()

	calls := 0
	flaky := func(_ context.Context, s string) (string, error) {
		if calls++; calls < 3 {
			return "", errors.New("not yet")
		}
		return s, nil
	}
	patient := concert.Retry(flaky, &concert.RetryOptions{Delay: time.Millisecond})
	fmt.Println(concert.Submit(ctx, ex, patient, "at last").Result(ctx))
	fmt.Println(calls, "calls")
	// Output:
	// at last <nil>
	// 3 calls
}

// makeThumb can be submitted to executors in other processes: they find it by
// its name.
var makeThumb = concert.Register("thumb", func(_ context.Context, image []byte) (int, error) { return len(image) / 8, nil })

func ExampleRegister() {
	ctx := context.Background()
	ex := goroutines.New(1, nil) // or a remote executor
	defer ex.Close()
	fmt.Println(concert.Submit(ctx, ex, makeThumb, make([]byte, 800)).Result(ctx))
	// Output: 100 <nil>
}

// A function releases the lock of its executor, if there is one, while it waits
// for something outside of package concert.
func ExampleRelease() {
	ctx := context.Background()
	door := make(chan string) // not buffered: two functions wait for each other here
	meet := func(ctx context.Context, name string) (met string, err error) {
		concert.Release(ctx, func() {
			select {
			case door <- name:
				met = <-door
			case met = <-door:
				door <- name
			}
		})
		return name + " met " + met, nil
	}
	for _, opts := range []*goroutines.Options{nil, {Lock: gil.New(nil)}} {
		ex := goroutines.New(2, opts)
		for s, err := range concert.Map(ctx, ex, meet, slices.Values([]string{"Ann", "Bob"})) {
			fmt.Println(s, err)
		}
		ex.Close()
	}
	// Output:
	// Ann met Bob <nil>
	// Bob met Ann <nil>
	// Ann met Bob <nil>
	// Bob met Ann <nil>
}

// Progress reports how far a task is, and an observer receives an event for it.
func ExampleProgress() {
	ctx := context.Background()
	ex := goroutines.New(1, &goroutines.Options{Observer: func(e concert.Event) {
		if e.Kind == concert.TaskProgress {
			fmt.Printf("%v: %d of %d\n", e.Kind, e.Done, e.Total)
			return
		}
		fmt.Println(e.Kind)
	}})
	steps := func(ctx context.Context, n int64) (int64, error) {
		for i := range n {
			concert.Progress(ctx, i+1, n)
		}
		return n, nil
	}
	concert.Submit(ctx, ex, steps, 2)
	ex.Close()
	// Output:
	// submitted
	// started
	// progress: 1 of 2
	// progress: 2 of 2
	// finished
}

func ExampleWithLabel() {
	ex := goroutines.New(1, nil)
	defer ex.Close()
	fail := func(context.Context, string) (int, error) { panic("no such page") }
	ctx := concert.WithLabel(context.Background(), "front page")
	_, err := concert.Submit(ctx, ex, fail, "/").Result(ctx)
	fmt.Println(concert.InputOf(err).Label)
	// Output: front page
}

func ExampleWithInputLabels() {
	ex := goroutines.New(1, nil)
	defer ex.Close()
	fail := func(_ context.Context, path string) (int, error) { panic("no such file") }
	ctx := concert.WithInputLabels(context.Background(), filepath.Base)
	for _, err := range concert.Map(ctx, ex, fail, slices.Values([]string{"photos/cat.jpg", "photos/dog.jpg"})) {
		in := concert.InputOf(err)
		fmt.Println(in.Index, in.Label)
	}
	// Output:
	// 0 cat.jpg
	// 1 dog.jpg
}

// A program can publish the statistics of an executor with expvar.Publish.
func Example_statistics() {
	ctx := context.Background()
	ex := goroutines.New(2, nil)
	vars := new(expvar.Map)
	vars.Set("shouts", expvar.Func(func() any { return ex.Stats() }))

	for range concert.Map(ctx, ex, shout, slices.Values([]string{"hello", "", "world"})) {
	}
	ex.Close()
	s := ex.Stats()
	fmt.Println(s.Done, "done,", s.Failed.Errors, "failed, quick:", s.RunTime.Quantile(0.5) < time.Second)

	var published struct{ Shouts concert.Stats }
	err := json.Unmarshal([]byte(vars.String()), &published)
	fmt.Println(published.Shouts == s, err)
	// Output:
	// 3 done, 1 failed, quick: true
	// true <nil>
}

// An observer is added to a running executor, and removed again.
func Example_watch() {
	ctx := context.Background()
	ex := goroutines.New(1, nil)
	defer ex.Close()
	stop := ex.Watch(func(e concert.Event) { fmt.Println(e.Kind) })
	concert.Submit(ctx, ex, shout, "hello").Result(ctx)
	stop()
	concert.Submit(ctx, ex, shout, "unseen").Result(ctx)
	// Output:
	// submitted
	// started
	// finished
}
