package cluster_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"concert"
	"concert/cluster"
	"concert/goroutines"
)

// seen records the events of a worker's executor.
type seen struct {
	mu     sync.Mutex
	inputs []string // guarded by mu: the kind and the input of each event
}

func (s *seen) observe(e concert.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inputs = append(s.inputs, fmt.Sprintf("%v %v", e.Kind, e.Input))
}

func (s *seen) has(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.inputs, text)
}

// TestLabel_ReachesWorker: the index and the label of an input must be in the
// events of the worker's executor, in the dead letter of the task, and in the
// client's error.
func TestLabel_ReachesWorker(t *testing.T) {
	s := embedded(t, "")
	access := cluster.Access{InProcess: s}
	var there seen
	serveOn(t, access, goroutines.New(2, &goroutines.Options{Observer: there.observe}))
	ex := dial(t, access)
	in, err := cluster.Inspect(t.Context(), "", &access)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	const name = "cluster.test.fussy"
	long := strings.Repeat("é", 300)
	cut := strings.Repeat("é", 126) + "…"
	for i, c := range []struct {
		name          string
		label         string // label of the task that fails
		mapped        bool
		index         int64
		there, letter string
	}{
		{"Submit", "", false, -1, "", ""},
		{"Submit with a label", "cat.jpg", false, -1, "cat.jpg", "cat.jpg"},
		{"Submit with a long label", long, false, -1, cut, cut},
		{"Submit with an odd label", "a\x1b[31m\n\x80", false, -1, "a\x1b[31m\n\x80", "a\ufffd[31m\ufffd\ufffd"},
		{"Map", "", true, 1, "", ""},
		{"Map with a label", "cat.jpg", true, 1, "cat.jpg", "cat.jpg"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := cluster.WithRetry(t.Context(), &concert.RetryOptions{Attempts: 2, Delay: time.Millisecond})
			good, bad := trial{fmt.Sprint(t.Name(), i, "good"), 0}, trial{fmt.Sprint(t.Name(), i, "bad"), 9}
			var err error
			if c.mapped {
				ctx = concert.WithInputLabels(ctx, func(in trial) string {
					if in == bad {
						return c.label
					}
					return ""
				})
				n := 0
				for _, e := range concert.Map(ctx, ex, fussy, slices.Values([]trial{good, bad})) {
					if n++; n == 2 {
						err = e
					}
				}
			} else {
				if c.label != "" {
					ctx = concert.WithLabel(ctx, c.label)
				}
				_, err = concert.Submit(ctx, ex, fussy, bad).Result(t.Context())
			}
			of := concert.InputOf(err)
			if labeled := c.mapped || c.label != ""; err == nil || labeled != (of != nil) || labeled && *of != (concert.Input{Name: name, Index: c.index, Label: c.label}) {
				t.Errorf("the error %v has the input %+v", err, of)
			}
			want := &concert.Input{Name: name, Index: c.index, Label: c.there}
			if c.index < 0 && c.there == "" {
				want = nil
			}
			for _, kind := range []concert.EventKind{concert.TaskSubmitted, concert.TaskStarted, concert.TaskFinished} {
				if text := fmt.Sprintf("%v %v", kind, want); !there.has(text) {
					t.Errorf("the worker has no event %q", text)
				}
			}
			letters, err := in.DeadLetters(t.Context(), 0, 10)
			if err != nil || len(letters) != 1 || letters[0].Function != name || letters[0].Index != c.index || letters[0].Label != c.letter {
				t.Fatalf("dead letters: %+v, %v; want one of input %d, %q", letters, err, c.index, c.letter)
			}
			if err := in.Discard(t.Context(), letters[0].Number); err != nil {
				t.Error(err)
			}
		})
	}
}
