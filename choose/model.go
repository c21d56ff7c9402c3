package choose

import (
	"fmt"
	"runtime"
	"slices"

	"concert"
)

// Model is a way to run the work.
type Model struct {
	// Name is the name in reports, in the plural: "goroutines". With a level, a
	// report has "goroutines, 8 at a time".
	Name string

	// Open returns an executor that runs n tasks concurrently and has the
	// observer, which may be nil. The executor is closed after use. A nil Open
	// means that the work is called in a plain loop.
	Open func(n int, observer concert.Observer) (concert.Executor, error)

	// Levels are the values of n to try, rising; those above Options.Most are
	// omitted. Nil means powers of two, the number of processors, and some
	// numbers between them.
	Levels []int

	// Code returns the line of Go that makes such an executor, or the flags for
	// it, for n concurrent tasks. It may be nil.
	Code func(n int) string

	// Note is added to an answer that names this model: what to know before
	// using it.
	Note string
}

// OneAfterAnother is sequential execution in a plain loop, without an executor.
// If the work can run in this process, make it the first model: the others are
// compared to it.
func OneAfterAnother() Model {
	return Model{
		Name: "one after another",
		Code: func(int) string { return "for _, in := range inputs { out, err := fn(ctx, in) ... }" },
	}
}

// levels returns those of a model that are no higher than most.
func (m *Model) levels(most int) []int {
	if m.Open == nil {
		return []int{1}
	}
	if m.Levels != nil {
		return slices.DeleteFunc(slices.Clone(m.Levels), func(n int) bool { return n > most })
	}
	var all []int
	for n := 1; n < most; n *= 2 {
		all = append(all, n)
	}
	all = append(all, most, min(most, runtime.GOMAXPROCS(0)))
	slices.Sort(all)
	return slices.Compact(all)
}

// check panics if models are not what they are said to be.
func check(models []Model) {
	if len(models) == 0 {
		panic("choose: no models")
	}
	for i, m := range models {
		if m.Name == "" {
			panic(fmt.Sprintf("choose: model %d has no name", i))
		}
		if slices.ContainsFunc(models[:i], func(other Model) bool { return other.Name == m.Name }) {
			panic(fmt.Sprintf("choose: two models have the name %q", m.Name))
		}
		for j, n := range m.Levels {
			if n < 1 || j > 0 && n <= m.Levels[j-1] {
				panic(fmt.Sprintf("choose: the levels of %q are not rising from 1", m.Name))
			}
		}
	}
}
