package progress_test

import (
	"strings"
	"testing"

	"concert"
	"concert/internal/logtest"
	"concert/progress"
)

// TestJSON_Input: if a task belongs to a Map, its line must have the index and
// the label of its input.
func TestJSON_Input(t *testing.T) {
	var out logtest.Buffer
	d := progress.New(&out, &progress.Options{Format: progress.JSON})
	d.Observe(concert.Event{Kind: concert.TaskStarted, Task: 1, Input: &concert.Input{Name: "f", Index: 0, Label: "cat.jpg"}})
	d.Observe(concert.Event{Kind: concert.TaskStarted, Task: 2, Input: &concert.Input{Name: "f", Index: -1, Label: "one"}})
	d.Observe(concert.Event{Kind: concert.TaskStarted, Task: 3})
	d.Close()
	lines := strings.Split(strings.TrimSpace(out.Take()), "\n")
	if len(lines) != 3 || !strings.Contains(lines[0], `"task":1,"input":0,"label":"cat.jpg",`) || !strings.Contains(lines[1], `"task":2,"label":"one",`) ||
		strings.Contains(lines[2], "input") || strings.Contains(lines[2], "label") {
		t.Errorf("lines:\n%s", strings.Join(lines, "\n"))
	}
}
