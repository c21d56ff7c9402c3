package processes_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"concert"
	"concert/executor"
	"concert/internal/frame"
	"concert/processes"
)

// bytesOf returns n bytes. failsWith fails with a text of n bytes.
var (
	bytesOf   = concert.Register("processes_test.bytesOf", func(_ context.Context, n int) ([]byte, error) { return make([]byte, n), nil })
	failsWith = concert.Register("processes_test.failsWith", func(_ context.Context, n int) (int, error) {
		return 0, errors.New(strings.Repeat("x", n))
	})
	// forgeLarge itself writes a result of n bytes to the pipe, so the
	// worker does not check the size. The worker must have no other call.
	forgeLarge = concert.Register("processes_test.forgeLarge", func(_ context.Context, n int) (int, error) {
		b := frame.ResultHead(nil, frame.Outcome{Value: frame.Payload{Encoded: executor.Encoded{Kind: 1}}}, n)
		b = append(b, make([]byte, n)...)
		for len(b) > 0 {
			n, err := syscall.Write(4, b)
			if err == syscall.EAGAIN {
				time.Sleep(time.Millisecond)
				continue
			}
			if err != nil {
				return 0, err
			}
			b = b[n:]
		}
		time.Sleep(time.Minute)
		return 0, nil
	})
	// forgePlace itself writes a result, and claims that the span of this
	// result in the arena has n bytes.
	forgePlace = concert.Register("processes_test.forgePlace", func(_ context.Context, n int) (int, error) {
		b := frame.AppendResult(nil, frame.Outcome{Value: frame.Payload{Encoded: executor.Encoded{Kind: 1}, Shared: true, Span: frame.Span{Length: uint64(n)}}})
		syscall.Write(4, b)
		time.Sleep(time.Minute)
		return 0, nil
	})
)

// allocated returns the number of bytes that this process allocates while
// the function do runs.
func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestMaxResult: if a result is larger than Options.MaxResult, only its own
// task must fail, and this process must not allocate memory for the result.
func TestMaxResult(t *testing.T) {
	tooLarge := func(t *testing.T, err error, function string) {
		t.Helper()
		if !errors.Is(err, processes.ErrTooLarge) || !strings.Contains(err.Error(), function) || !strings.Contains(err.Error(), "Options.MaxResult") {
			t.Errorf("error %v, want ErrTooLarge with the function and the option", err)
		}
	}
	for _, limit := range []int{100, 20 << 10, 1 << 20} { // results of 100 bytes are inline; larger results are in the arena
		t.Run(fmt.Sprint("limit ", limit), func(t *testing.T) {
			sharedOrNot(t, func(t *testing.T, memory processes.Setting) {
				leftovers(t)
				p := newPool(t, 1, &processes.Options{MaxResult: int64(limit)}, memory)
				pid, err := submit(t, p, pidOf, 0).Result(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, n := range []int{0, limit, limit + 1, 2*limit + 100_000} {
					got, err := submit(t, p, bytesOf, n).Result(t.Context())
					if n > limit {
						tooLarge(t, err, "processes_test.bytesOf")
					} else if err != nil || len(got) != n {
						t.Errorf("%d bytes: %d, %v", n, len(got), err)
					}
				}
				sizes := []int{1, limit + 1, 2, limit + 70_000, 3}
				i := 0
				for got, err := range concert.Map(t.Context(), p, bytesOf, slices.Values(sizes)) {
					if sizes[i] > limit {
						tooLarge(t, err, "processes_test.bytesOf")
					} else if err != nil || len(got) != sizes[i] {
						t.Errorf("item %d: %d bytes, %v", i, len(got), err)
					}
					i++
				}
				if _, err := submit(t, p, failsWith, 4000).Result(t.Context()); err == nil || len(err.Error()) != 4000 {
					t.Errorf("an error of 4000 bytes: %.100v", err)
				}
				const long = 3 << 20
				if _, err = submit(t, p, failsWith, long).Result(t.Context()); errors.Is(err, processes.ErrTooLarge) {
					t.Errorf("an error of 3 MiB: %v", err)
				}
				var missing int
				start, note, _ := strings.Cut(err.Error(), " ... (")
				if _, err := fmt.Sscanf(note, "%d bytes more)", &missing); err != nil || len(start) < 1<<19 || len(start)+missing != long {
					t.Errorf("an error of 3 MiB: %d bytes and the note %q", len(start), note)
				}
				if again, err := submit(t, p, pidOf, 0).Result(t.Context()); again != pid || err != nil {
					t.Errorf("the pid of the worker was %d and is %d, %v", pid, again, err)
				}
			})
		})
	}
	t.Run("a worker that does not check the size", func(t *testing.T) {
		sharedOrNot(t, func(t *testing.T, memory processes.Setting) {
			leftovers(t)
			for name, f := range map[string]func(context.Context, int) (int, error){"forgeLarge": forgeLarge, "forgePlace": forgePlace} {
				if name == "forgePlace" && strings.HasSuffix(t.Name(), "unshared") {
					continue // there is no arena
				}
				p := newPool(t, 1, &processes.Options{MaxResult: 1 << 20, Grace: time.Millisecond}, memory)
				var err error
				n := allocated(func() { _, err = submit(t, p, f, 200<<20).Result(t.Context()) })
				tooLarge(t, err, "processes_test."+name)
				if n > 16<<20 {
					t.Errorf("%s: this process allocated %d bytes for a result of 200 MiB", name, n)
				}
			}
		})
	})
	t.Run("a worker of another program", func(t *testing.T) {
		leftovers(t)
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		p := newPool(t, 1, &processes.Options{Command: []string{self}, Env: append(os.Environ(), fakeEnv+"=1"), MaxResult: 1000, Output: slog.New(slog.DiscardHandler)})
		_, err = submit(t, p, echo, make([]byte, 8<<20)).Result(t.Context())
		tooLarge(t, err, "processes_test.echo")
		works(t, p)
	})
	t.Run("options", func(t *testing.T) {
		if _, err := processes.New(1, &processes.Options{MaxResult: 1<<30 + 1}); err == nil || !strings.Contains(err.Error(), "Options.MaxResult") {
			t.Errorf("MaxResult above 1 GiB: %v", err)
		}
		defer func() {
			if v := recover(); v == nil || !strings.Contains(fmt.Sprint(v), "Options.MaxResult") {
				t.Errorf("MaxResult below 0: panic %v", v)
			}
		}()
		processes.New(1, &processes.Options{MaxResult: -1})
	})
}
