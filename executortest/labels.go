package executortest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"concert"
	"concert/progress"
	"concert/trace"
)

// isInput reports whether an input has this name, index and label.
func isInput(in *concert.Input, name string, index int64, label string) bool {
	return in != nil && in.Name == name && in.Index == index && in.Label == label
}

// failures returns n inputs of the function fail. For a third of the inputs,
// the function panics. For another third it returns an error, and for the
// rest it succeeds.
func failures(n int) []string {
	return slices.Repeat([]string{"panic", "error", "not at all"}, n/3)
}

// labelOfInput returns the label that the cases give to an input of a Map.
func labelOfInput(how string) string { return "to " + how }

var labelCases = []testCase{
	{"InputOfMap", "the error and the events of a call of a Map have the index and the label of its input", func(s *suite) {
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
					in := concert.InputOf(err)
					if (how == "panic" || how == "error" && !s.Shared) && !isInput(in, name, got.Index, label(got.Index)) {
						s.Errorf("the error of input %d, %v, has the Input %+v", got.Index, err, in)
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
							s.Errorf("event %v has the Input %+v", e.Kind, e.Input)
							continue
						}
						of[e.Input.Index]++
					}
				}
				if len(seen) != len(inputs) || len(of) != len(inputs) {
					s.Errorf("%d inputs have results, and %d have events; want %d", len(seen), len(of), len(inputs))
				}
			}
		}
	}},

	{"Label", "the error and the events of a labeled task of Submit have its label, and no index", func(s *suite) {
		var r record
		ex := s.executor(Config{Observer: r.observe})
		const name, label = "executortest.fail", "cat.jpg \x1b[31m"
		ctx := concert.WithLabel(s.ctx, label)
		for _, how := range []string{"panic", "error"} {
			_, err := concert.Submit(ctx, ex, fail, how).Result(s.ctx)
			in := concert.InputOf(err)
			if (how == "panic" || !s.Shared) && !isInput(in, name, -1, label) {
				s.Errorf("the error %v has the Input %+v", err, in)
			}
			if how == "panic" && (!strings.Contains(err.Error(), `executortest.fail (cat.jpg \x1b[31m): `) || strings.Contains(err.Error(), "\x1b")) {
				s.Errorf("the error says %q; want the label in it, escaped", err)
			}
			_, err = concert.Submit(s.ctx, ex, fail, how).Result(s.ctx)
			if in := concert.InputOf(err); in != nil {
				s.Errorf("the error of a task without a label, %v, has the Input %+v", err, in)
			}
			if p, ok := errors.AsType[*concert.PanicError](err); ok && (p.Task != name || !strings.HasPrefix(err.Error(), "concert: executortest.fail: task panicked: ")) {
				s.Errorf("the panic of a task without a label names %q, and says %q", p.Task, err)
			}
		}
		for _, err := range concert.Map(ctx, ex, fail, slices.Values([]string{"panic"})) {
			if in := concert.InputOf(err); !isInput(in, name, 0, label) {
				s.Errorf("the error of a Map, %v, has the Input %+v", err, in)
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

	{"InputPlaces", "errors, events, traces and progress lines name the index and the label of the input", func(s *suite) {
		for _, failure := range inputFailures {
			if failure.applies(s) {
				s.showsInputs(failure)
			}
		}
	}},

	{"LabelNested", "a label does not apply to the tasks that a labeled task submits", nested(func(s *suite, ex concert.Executor) {
		outer := func(ctx context.Context, how string) (string, error) {
			_, err := concert.Submit(ctx, ex, fail, how).Result(ctx)
			for _, e := range concert.Map(ctx, ex, fail, slices.Values([]string{how})) {
				err = errors.Join(err, e)
			}
			return fmt.Sprint(err), nil
		}
		got := must[string](s)(concert.Submit(concert.WithLabel(s.ctx, "outer"), ex, outer, "panic").Result(s.ctx))
		if strings.Contains(got, "outer)") || strings.Count(got, "panicked") != 2 {
			s.Errorf("errors of tasks that a task with a label has submitted: %s; want the label in none", got)
		}
	})},

	{"MapIndexedEnds", "the last error of a Map that ends early has no index", func(s *suite) {
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

// showsInputs checks that the input and the label of a failed task are in the
// error, the events, the trace and the progress lines of the task.
func (s *suite) showsInputs(failure inputFailure) {
	ways := []struct {
		name  string
		index int64
		label string // different for each way, because all ways share a trace
	}{{"Submit", -1, "cat.jpg \x1b[31m"}, {"Map", 1, ""}, {"Map with WithLabel", 1, "dog.jpg \x1b[31m"}, {"Map with WithInputLabels", 1, "eel.jpg \x1b[31m"}}
	if failure.submit {
		ways = ways[:1]
	}
	var r record
	var traced, lines bytes.Buffer
	tracer := trace.New(&traced)
	display := progress.New(&lines, &progress.Options{Format: progress.JSON})
	observers := []concert.Observer{r.observe, tracer.Observer("suite"), display.Observe}
	c := Config{Workers: 1, Grace: 20 * time.Millisecond, Observer: func(e concert.Event) {
		for _, observe := range observers {
			observe(e)
		}
	}}
	if failure.timeout {
		c.Timeout = 500 * time.Millisecond // longer than the tasks that do not fail, even on a busy machine
	}
	ex := s.executor(c)
	for _, way := range ways {
		ctx := s.ctx
		switch {
		case way.name == "Map with WithInputLabels":
			ctx = failure.label(s.ctx, way.label)
		case way.label != "":
			ctx = concert.WithLabel(ctx, way.label)
		}
		err := failure.fail(s, ctx, ex, way.name != "Submit")
		in := concert.InputOf(err)
		if err == nil || !isInput(in, failure.function, way.index, way.label) {
			s.Errorf("%s, %s: the error %v has the Input %+v, want input %d, label %q", way.name, failure.name, err, in, way.index, way.label)
		} else if failure.named && (!strings.Contains(err.Error(), in.String()) || strings.Contains(err.Error(), "\x1b")) {
			s.Errorf("%s, %s: the error says %q, want %q in it", way.name, failure.name, err, in)
		}
	}
	ex.Close()
	tracer.Close()
	display.Close()
	for _, way := range ways {
		if !namesInput(traced.String(), way.index, way.label) {
			s.Errorf("%s, %s: the trace does not name input %d, label %q:\n%s", way.name, failure.name, way.index, way.label, traced.String())
		}
		if !namesInput(lines.String(), way.index, way.label) {
			s.Errorf("%s, %s: the progress does not name input %d, label %q:\n%s", way.name, failure.name, way.index, way.label, lines.String())
		}
		n := 0
		for _, events := range r.events {
			for _, e := range events {
				if isInput(e.Input, failure.function, way.index, way.label) {
					n++
				}
			}
		}
		if n < 2 {
			s.Errorf("%s, %s: %d events are of the input, want 2 or more", way.name, failure.name, n)
		}
	}
}

// namesInput reports whether the JSON text contains an input with this index
// and this label. If index is -1, the text must have no index. If label is
// empty, the text must have no label.
func namesInput(json string, index int64, label string) bool {
	want := ""
	if index >= 0 {
		want = fmt.Sprintf(`"input":%d`, index)
	}
	if label == "" {
		return strings.Contains(strings.ReplaceAll(json, want+`,"label"`, ""), want)
	}
	if want != "" {
		want += ","
	}
	return strings.Contains(json, want+`"label":"`+strings.ReplaceAll(label, "\x1b", `\u001b`)+`"`)
}

// inputFailure is a way in which a task fails. concert.InputOf must find the
// input of the task in its error.
type inputFailure struct {
	name, function string
	named          bool // whether the text of the error must contain the name of the input, too
	submit         bool // whether only a Submit can fail in this way, and not a Map
	timeout        bool // whether the executor needs Config.Timeout
	applies        func(*suite) bool
	label          func(ctx context.Context, label string) context.Context
	// fail returns the error of a task that fails. If mapped is true, the task
	// is the second of three in a Map, and the others do not fail.
	fail func(s *suite, ctx context.Context, ex concert.Executor, mapped bool) error
}

// failing returns an inputFailure for fn: fn(bad) fails, and fn(good) succeeds.
func failing[In, Out any](name, function string, named bool, applies func(*suite) bool, fn func(context.Context, In) (Out, error), good, bad In) inputFailure {
	return inputFailure{
		name: name, function: function, named: named, applies: applies,
		label: labelsAll[In],
		fail: func(s *suite, ctx context.Context, ex concert.Executor, mapped bool) error {
			return second(outcomeOf(s, ctx, ex, mapped, fn, good, bad))
		},
	}
}

// labelsAll gives the same label to all inputs of a Map.
func labelsAll[In any](ctx context.Context, label string) context.Context {
	return concert.WithInputLabels(ctx, func(In) string { return label })
}

// outcomeOf returns the outcome of fn(bad). If mapped is true, fn runs in a Map
// with the inputs good, bad and good.
func outcomeOf[In, Out any](s *suite, ctx context.Context, ex concert.Executor, mapped bool, fn func(context.Context, In) (Out, error), good, bad In) (out Out, err error) {
	if !mapped {
		return concert.Submit(ctx, ex, fn, bad).Result(s.ctx)
	}
	n := 0
	for got, e := range concert.Map(ctx, ex, fn, slices.Values([]In{good, bad, good})) {
		if n++; n == 2 {
			out, err = got, e
		} else if e != nil {
			s.Errorf("an input before or after the one that fails: %v", e)
		}
	}
	return out, err
}

var inputFailures = func() []inputFailure {
	all := func(*suite) bool { return true }
	remote := func(s *suite) bool { return !s.Shared }
	const never = "not at all"
	failures := []inputFailure{
		failing("panic", "executortest.fail", true, all, fail, never, "panic"),
		failing("Goexit", "executortest.fail", false, all, fail, never, "goexit"),
		failing("error", "executortest.fail", false, remote, fail, never, "error"),
		failing("panicking encoder", "executortest.misbehave", true, remote, misbehave, rogueArgument{}, rogueArgument{rogue{encodingArgument, "panics"}}),
		failing("failing decoder", "executortest.misbehave", true, remote, misbehave, rogueArgument{}, rogueArgument{rogue{decodingResult, "fails"}}),
	}
	timeout := inputFailure{
		name: "timeout", function: "executortest.stubborn", named: true, timeout: true, applies: func(s *suite) bool { return s.Expired != nil },
		label: labelsAll[gate],
		fail: func(s *suite, ctx context.Context, ex concert.Executor, mapped bool) error {
			good := s.gate()
			good.open()
			return second(outcomeOf(s, ctx, ex, mapped, stubborn, good, s.gate()))
		},
	}
	canceled := inputFailure{
		name: "cancel before the start", function: "executortest.hold", named: true, submit: true, applies: all,
		fail: func(s *suite, ctx context.Context, ex concert.Executor, _ bool) error {
			g, held := s.held(ex)
			f := concert.Submit(ctx, ex, hold, g)
			f.Cancel()
			g.open()
			must[string](s)(held.Result(s.ctx))
			return second(f.Result(s.ctx))
		},
	}
	return append(failures, timeout, canceled)
}()
