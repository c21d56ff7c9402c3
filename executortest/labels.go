package executortest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"concert"
)

// inputOf is what an error says of the input, nil if it does not.
func inputOf(err error) *concert.Input {
	if p, ok := errors.AsType[*concert.PanicError](err); ok {
		return p.Input
	}
	if r, ok := errors.AsType[*concert.RemoteError](err); ok {
		return r.Input
	}
	return nil
}

// isInput reports whether an input is what a case has submitted.
func isInput(in *concert.Input, name string, index int64, label string) bool {
	return in != nil && in.Name == name && in.Index == index && in.Label == label
}

// failures are inputs of fail: each third panics, each third fails, each third
// does not.
func failures(n int) []string {
	return slices.Repeat([]string{"panic", "error", "not at all"}, n/3)
}

// labelOfInput is the label that the cases give to an input of a Map.
func labelOfInput(how string) string { return "to " + how }

var labelCases = []testCase{
	{"InputOfMap", "of ten thousand files one is broken: which?", func(s *suite) {
		const name = "executortest.fail"
		mapping := func(unordered bool, ctx context.Context, ex concert.Executor, inputs []string) iter.Seq2[concert.Indexed[string], error] {
			if unordered {
				return concert.MapIndexed(ctx, ex, fail, slices.Values(inputs))
			}
			return func(yield func(concert.Indexed[string], error) bool) {
				index := int64(-1)
				for got, err := range concert.Map(ctx, ex, fail, slices.Values(inputs)) {
					if index++; !yield(concert.Indexed[string]{Index: index, Value: got}, err) {
						return
					}
				}
			}
		}
		for _, unordered := range []bool{false, true} {
			for _, labeled := range []bool{false, true} {
				var r record
				ex := s.executor(Config{Observer: r.observe})
				inputs := failures(30)
				ctx := s.ctx
				if labeled {
					ctx = concert.WithInputLabels(ctx, labelOfInput)
				}
				label := func(index int64) string {
					if !labeled {
						return ""
					}
					return labelOfInput(inputs[index])
				}
				seen := map[int64]bool{}
				for got, err := range mapping(unordered, ctx, ex, inputs) {
					if got.Index < 0 || got.Index >= int64(len(inputs)) || seen[got.Index] {
						s.Fatalf("a result, %q, %v, of input %d of %d", got.Value, err, got.Index, len(inputs))
					}
					seen[got.Index] = true
					how := inputs[got.Index]
					if failed := how != "not at all"; failed != (err != nil) || !failed && got.Value != "no failure: "+how {
						s.Errorf("input %d, %q, gave %q, %v", got.Index, how, got.Value, err)
					}
					in := inputOf(err)
					if (how == "panic" || how == "error" && !s.Shared) && !isInput(in, name, got.Index, label(got.Index)) {
						s.Errorf("the error of input %d, %v, is of %+v", got.Index, err, in)
					}
					if how == "panic" && !strings.Contains(err.Error(), in.String()) {
						s.Errorf("the error of input %d says %q; want %q in it", got.Index, err, in)
					}
				}
				ex.Close()
				r.check(s)
				of := map[int64]int{}
				for _, events := range r.events {
					for _, e := range events {
						if e.Input == nil || !isInput(e.Input, name, e.Input.Index, label(e.Input.Index)) {
							s.Errorf("event %v is of %+v", e.Kind, e.Input)
							continue
						}
						of[e.Input.Index]++
					}
				}
				if len(seen) != len(inputs) || len(of) != len(inputs) {
					s.Errorf("%d results and events of %d inputs, want %d of each", len(seen), len(of), len(inputs))
				}
			}
		}
	}},

	{"Label", "a task of Submit has no index, but a caller knows what it is about", func(s *suite) {
		var r record
		ex := s.executor(Config{Observer: r.observe})
		const name, label = "executortest.fail", "cat.jpg \x1b[31m"
		ctx := concert.WithLabel(s.ctx, label)
		for _, how := range []string{"panic", "error"} {
			_, err := concert.Submit(ctx, ex, fail, how).Result(s.ctx)
			in := inputOf(err)
			if (how == "panic" || !s.Shared) && !isInput(in, name, -1, label) {
				s.Errorf("the error %v is of %+v", err, in)
			}
			if how == "panic" && (!strings.Contains(err.Error(), `executortest.fail (cat.jpg \x1b[31m): `) || strings.Contains(err.Error(), "\x1b")) {
				s.Errorf("the error says %q; want the label in it, escaped", err)
			}
			_, err = concert.Submit(s.ctx, ex, fail, how).Result(s.ctx)
			if in := inputOf(err); in != nil {
				s.Errorf("the error of a task without a label, %v, is of %+v", err, in)
			}
		}
		for _, err := range concert.Map(ctx, ex, fail, slices.Values([]string{"panic"})) {
			if in := inputOf(err); !isInput(in, name, 0, label) {
				s.Errorf("the error of a Map, %v, is of %+v", err, in)
			}
		}
		ex.Close()
		r.check(s)
		labeled := 0
		for _, events := range r.events {
			for _, e := range events {
				if e.Input != nil && e.Input.Label == label {
					labeled++
				}
			}
		}
		if labeled != 9 {
			s.Errorf("%d events with the label, want 9, those of 3 tasks", labeled)
		}
	}},

	{"LabelNested", "what a task submits is about something else", nested(func(s *suite, ex concert.Executor) {
		outer := func(ctx context.Context, how string) (string, error) {
			_, err := concert.Submit(ctx, ex, fail, how).Result(ctx)
			for _, e := range concert.Map(ctx, ex, fail, slices.Values([]string{how})) {
				err = errors.Join(err, e)
			}
			return fmt.Sprint(err), nil
		}
		got := must[string](s)(concert.Submit(concert.WithLabel(s.ctx, "outer"), ex, outer, "panic").Result(s.ctx))
		if strings.Contains(got, "outer)") || strings.Count(got, "panicked") != 2 {
			s.Errorf("errors of tasks inside of one with a label: %s; want it in none", got)
		}
	})},

	{"MapIndexedEnds", "the last error of a Map is of no input", func(s *suite) {
		ex := s.executor(Config{})
		ex.Close()
		n := 0
		for got, err := range concert.MapIndexed(s.ctx, ex, square, upTo(10)) {
			if n++; got.Index != -1 || !errors.Is(err, concert.ErrClosed) {
				s.Errorf("MapIndexed() after Close: index %d, %v; want -1, ErrClosed", got.Index, err)
			}
		}
		if n != 1 {
			s.Errorf("%d results, want one error", n)
		}
	}},
}
