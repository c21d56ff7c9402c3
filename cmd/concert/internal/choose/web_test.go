package choose

import (
	"testing"

	"concert"
	"concert/dashboard"
)

// TestOnPage: the page must show runs under the name of the model and the
// level. Another observer, such as a trace, must get the same events with
// their own names.
func TestOnPage(t *testing.T) {
	var feed dashboard.Feed
	var names, traced []string
	defer feed.Watch(func(e concert.Event) { names = append(names, e.Name) })()
	other := func(string, int) concert.Observer {
		return func(e concert.Event) { traced = append(traced, e.Name) }
	}
	for _, o := range []concert.Observer{onPage(&feed, other)("goroutines", 4), onPage(&feed, nil)("processes", 2)} {
		o(concert.Event{Kind: concert.TaskStarted, Task: 1, Name: "f", Worker: 0})
		o(concert.Event{Kind: concert.TaskFinished, Task: 1, Name: "f", Worker: 0})
	}
	if len(names) != 4 || names[0] != names[1] || names[0] == names[2] || names[0] == "f" {
		t.Errorf("the page got %q", names)
	}
	if len(traced) != 2 || traced[0] != "f" {
		t.Errorf("the trace got %q", traced)
	}
}
