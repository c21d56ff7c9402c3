package processes_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"concert"
	"concert/processes"
)

// A shape is an argument in an interface: the worker finds the type of the
// value by its name.
type shape interface{ area() float64 }

type rect struct{ Width, Height float64 }

func (r rect) area() float64 { return r.Width * r.Height }

// full is an error of the program. Its type and fields reach the submitter.
type full struct {
	Disk string
	Free int64
}

func (e *full) Error() string { return fmt.Sprintf("%s has only %d bytes free", e.Disk, e.Free) }

// Types are registered at package level, like functions.
func init() {
	concert.RegisterType[rect]("rect")
	concert.RegisterErrorType[*full]("full")
}

var (
	total = concert.Register("total", func(_ context.Context, shapes []shape) (sum float64, err error) {
		for _, s := range shapes {
			sum += s.area()
		}
		return sum, nil
	})
	store = concert.Register("store", func(_ context.Context, file string) (int64, error) {
		info, err := os.Stat(file)
		if err != nil {
			return 0, fmt.Errorf("store: %w", err)
		}
		return 0, fmt.Errorf("store: %w", &full{Disk: "sda1", Free: info.Size() - 1})
	})
)

// Values and errors of the program's own types keep their types and fields
// between processes.
func Example_types() {
	ctx := context.Background()
	ex, err := processes.New(1, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ex.Close()
	fmt.Println(concert.Submit(ctx, ex, total, []shape{rect{2, 3}, rect{1, 4}}).Result(ctx))

	_, err = concert.Submit(ctx, ex, store, "missing.txt").Result(ctx)
	fmt.Println(errors.Is(err, fs.ErrNotExist))

	_, err = concert.Submit(ctx, ex, store, ".").Result(ctx)
	if e, ok := errors.AsType[*full](err); ok {
		fmt.Println("no room on", e.Disk)
	}
	// Output:
	// 10 <nil>
	// true
	// no room on sda1
}
