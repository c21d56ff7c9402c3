package trace_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"concert"
	"concert/trace"
)

// TestWriter_Input: if a task belongs to a Map, the trace must have the index
// and the label of its input, even if the task never ran.
func TestWriter_Input(t *testing.T) {
	var out bytes.Buffer
	w := trace.New(&out)
	o := w.Observer("pool")
	event := func(kind concert.EventKind, task uint64, worker int, in *concert.Input) {
		o(concert.Event{Kind: kind, Task: task, Name: "f", Input: in, Worker: worker, Time: time.Now()})
	}
	for i, in := range []*concert.Input{{Name: "f", Index: 17, Label: `a "cat"`}, {Name: "f", Index: 0}, {Name: "f", Index: -1, Label: "one"}, nil} {
		event(concert.TaskStarted, uint64(i+1), 0, in)
		event(concert.TaskFinished, uint64(i+1), 0, in)
	}
	event(concert.TaskFinished, 5, -1, &concert.Input{Name: "f", Index: 3})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"args":{"task":1,"input":17,"label":"a \"cat\""}`, `"args":{"task":2,"input":0}`, `"args":{"task":3,"label":"one"}`, `"args":{"task":4}`,
		`"args":{"task":5,"input":3,"error":""}`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the trace has no %s:\n%s", want, out.String())
		}
	}
}
