package python_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"concert"
	"concert/python"
)

// Python functions as Go functions.
var (
	fmean   = python.Func[[]float64, float64]("statistics:fmean")
	title   = python.Func[string, string]("string:capwords")
	sleep   = python.Func[float64, any]("time:sleep")
	replace = python.Func[python.Args, string]("re:sub")
	parse   = python.Func[string, map[string]any]("json:loads")
	count   = python.Stream[int, int]("itertools:count") // without end
	matches = python.Func[string, []string]("re:compile('[0-9]+').findall")
	collatz = python.Source[int, int]("steps", `
def steps(n):
    count = 0
    while n != 1:
        n = 3 * n + 1 if n % 2 else n // 2
        count += 1
    return count
`)
)

func Example() {
	ctx := context.Background()
	ex, err := python.New(2, nil)
	fmt.Println(err)
	defer ex.Close()
	fmt.Println(concert.Submit(ctx, ex, fmean, []float64{1, 2, 6}).Result(ctx))
	// Output:
	// <nil>
	// 3 <nil>
}

func ExampleDescribe() {
	ctx := context.Background()
	ex, err := python.New(1, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ex.Close()
	info, err := python.Describe(ctx, ex)
	fmt.Println("Python", info.Version[:2], err)
	// Output: Python 3. <nil>
}

// Eight threads in one interpreter suffice for I/O-bound work. The
// interpreter has its usual lock, so CPU-bound work would not be faster than
// on one thread.
func ExampleNew_threads() {
	ctx := context.Background()
	ex, err := python.New(1, &python.Options{Threads: 8})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ex.Close()
	info, err := python.Describe(ctx, ex)
	fmt.Println(info.Implementation, "with the GIL:", info.GIL, err)

	begun := time.Now()
	for _, err := range concert.Map(ctx, ex, sleep, slices.Values(slices.Repeat([]float64{0.25}, 8))) {
		if err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println("eight quarters of a second in less than two:", time.Since(begun) < 2*time.Second)
	// Output:
	// CPython with the GIL: true <nil>
	// eight quarters of a second in less than two: true
}

// CPU-bound work in Python can use all processors, because each interpreter
// has its own lock.
func ExampleFunc_map() {
	ex, err := python.New(0, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ex.Close()
	for text, err := range concert.Map(context.Background(), ex, title, slices.Values([]string{"the first", "the second"})) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(text)
	}
	// Output:
	// The First
	// The Second
}

// Several arguments, some of them by name.
func ExampleArgs() {
	ctx := context.Background()
	ex, err := python.New(1, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ex.Close()
	args := python.Args{Args: []any{"a", "-", "banana"}, Kwargs: map[string]any{"count": 1}}
	fmt.Println(concert.Submit(ctx, ex, replace, args).Result(ctx))
	// Output: b-nana <nil>
}

// A few lines of Python in the Go source.
func ExampleSource() {
	ctx := context.Background()
	ex, err := python.New(1, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ex.Close()
	fmt.Println(concert.Submit(ctx, ex, collatz, 27).Result(ctx))
	// Output: 111 <nil>
}

// A generator becomes a sequence. The generator is at most one value ahead of
// the loop.
func ExampleStream() {
	ctx := context.Background()
	ex, err := python.New(1, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ex.Close()
	for n, err := range count(ctx, ex, 10) {
		if err != nil || n > 12 {
			fmt.Println("the last is", n, err)
			break
		}
		fmt.Println(n)
	}
	// Output:
	// 10
	// 11
	// 12
	// the last is 13 <nil>
}

// A constructor is called once in each worker, with the arguments between the
// parentheses.
func ExampleFunc_constructor() {
	ctx := context.Background()
	ex, err := python.New(1, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ex.Close()
	fmt.Println(concert.Submit(ctx, ex, matches, "b12").Result(ctx))
	// Output: [12] <nil>
}

// An exception is an error with Python's traceback.
func ExampleError() {
	ctx := context.Background()
	ex, err := python.New(1, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ex.Close()
	_, err = concert.Submit(ctx, ex, parse, "no JSON").Result(ctx)
	fmt.Println(errors.Is(err, python.Type("json.decoder.JSONDecodeError")), errors.Is(err, python.Type("ValueError")))
	if e, ok := errors.AsType[*python.Error](err); ok {
		fmt.Println(e.Type, e.Message)
		fmt.Println(strings.Split(e.Traceback, "\n")[0])
	}
	// Output:
	// true true
	// json.decoder.JSONDecodeError Expecting value: line 1 column 1 (char 0)
	// Traceback (most recent call last):
}
