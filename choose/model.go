package choose

import (
	"fmt"
	"runtime"
	"slices"

	"concert"
)

// Model is a way to run the work.
type Model struct {
	// Name is the name in reports, such as "goroutines". For a concurrency
	// above 1, reports add the concurrency, as in "goroutines with concurrency
	// 8".
	Name string

	// Open returns an executor that runs n tasks concurrently and calls the
	// observer, which may be nil. Run closes the executor after use. A nil Open
	// means that Run calls the work in a plain loop.
	Open func(n int, observer concert.Observer) (concert.Executor, error)

	// Levels has the values of n to try, in rising order. Values above
	// Options.MaxConcurrency are left out. Nil means powers of two, the number
	// of processors, the maximum, and some numbers between them.
	Levels []int

	// Code returns the line of Go, or the command line, that runs n tasks
	// concurrently under this model. It may be nil.
	Code func(n int) string

	// PythonCode returns the executor of Python's standard library that runs n
	// tasks concurrently under this model. It may be nil.
	PythonCode func(n int) string

	// Locked says that only one task at a time can compute under this model, as
	// under a GIL, unless the work releases the lock while it computes.
	Locked bool

	// Note is added to the caveats of a verdict that recommends this model. It
	// is a sentence, or empty.
	Note string
}

// Sequential returns the model of sequential execution: a plain loop, without
// an executor. If the work can run in this process, put this model first. Then
// the report compares all other models to sequential execution.
func Sequential() Model {
	return Model{
		Name: "sequential execution",
		Code: func(int) string { return "for _, in := range inputs { out, err := fn(ctx, in) ... }" },
	}
}

// levels returns the levels of a model up to a maximum.
func (m *Model) levels(highest int) []int {
	if m.Open == nil {
		return []int{1}
	}
	if m.Levels != nil {
		return slices.DeleteFunc(slices.Clone(m.Levels), func(n int) bool { return n > highest })
	}
	var all []int
	for n := 1; n < highest; n *= 2 {
		all = append(all, n)
	}
	all = append(all, highest, min(highest, runtime.GOMAXPROCS(0)))
	slices.Sort(all)
	return slices.Compact(all)
}

// checkModels panics if models are invalid.
func checkModels(models []Model) {
	if len(models) == 0 {
		panic("choose: Run: there are no models")
	}
	for i, m := range models {
		if m.Name == "" {
			panic(fmt.Sprintf("choose: Run: model %d has no name", i))
		}
		if slices.ContainsFunc(models[:i], func(other Model) bool { return other.Name == m.Name }) {
			panic(fmt.Sprintf("choose: Run: two models have the name %q", m.Name))
		}
		for j, n := range m.Levels {
			if n < 1 || j > 0 && n <= m.Levels[j-1] {
				panic(fmt.Sprintf("choose: Run: the levels of model %q must be positive and in rising order", m.Name))
			}
		}
	}
}

// pointName returns the name of a point as users see it.
func pointName(model string, level int) string {
	if level == 1 {
		return model
	}
	return fmt.Sprintf("%s with concurrency %d", model, level)
}
