package choose

import (
	"fmt"
	"runtime"
	"slices"

	"concert"
)

// Model is a way to run the work.
type Model struct {
	// Name is what reports call it, in the plural: "goroutines". With a level it reads
	// "goroutines, 8 at a time".
	Name string

	// Open returns an executor that runs n tasks at a time and tells the observer, unless it
	// is nil, what happens to them. It is closed after use. A nil Open means that the work is
	// called in a plain loop, one input after another.
	Open func(n int, observer concert.Observer) (concert.Executor, error)

	// Levels are the values of n to try, rising; those above Options.Most are left out. Nil means
	// powers of two, as many as there are processors, and some between.
	Levels []int

	// Code returns the line that makes such an executor, or the flags that ask for it,
	// with n tasks at a time. It may be nil.
	Code func(n int) string

	// Note is for the answer, if it names this model: what to know before taking it.
	Note string
}

// OneAfterAnother is the plain loop: no executor, nothing at the same time. It belongs
// at the beginning of the models, as what the others are compared to, where the work can run in
// this process at all.
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
