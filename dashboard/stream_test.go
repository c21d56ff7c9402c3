package dashboard_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"concert"
	"concert/dashboard"
	"concert/goroutines"
)

// received is a frame as a page sees it.
type received struct {
	id      string
	Full    bool
	Ended   bool
	Sources []struct {
		Name  string
		Stats struct {
			Done, Failed int64
			Kinds        map[string]int64
		}
		Spans     [][]any
		Functions []struct {
			Name         string
			Done, Failed int64
		}
		Failures struct {
			Groups []struct {
				Name, Text string
				Count      int64
				Examples   []struct {
					Task  string
					Index int64
					Label string
				}
			}
		}
	}
}

// listen reads the events of a page until the test ends the loop, or the server
// ends the stream.
func listen(t *testing.T, url, lastID string) func(yield func(received) bool) {
	return func(yield func(received) bool) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, "GET", url+"events", nil)
		if err != nil {
			t.Fatal(err)
		}
		if lastID != "" {
			r.Header.Set("Last-Event-ID", lastID)
		}
		reply, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer reply.Body.Close()
		if reply.StatusCode != 200 || reply.Header.Get("Content-Type") != "text/event-stream" {
			t.Fatalf("%v %v", reply.Status, reply.Header)
		}
		lines := bufio.NewScanner(reply.Body)
		lines.Buffer(nil, 64<<20)
		id := ""
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "id":
				id = value
			case "data":
				f := received{id: id}
				if err := json.Unmarshal([]byte(value), &f); err != nil {
					t.Fatal(err)
				}
				if !yield(f) {
					return
				}
			}
		}
	}
}

// truth has the events that an observer of the program has received.
type truth struct {
	mu     sync.Mutex
	starts map[uint64]concert.Event // guarded by mu
	ends   map[uint64]concert.Event // guarded by mu
}

func (r *truth) observe(e concert.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch e.Kind {
	case concert.TaskStarted:
		r.starts[e.Task] = e
	case concert.TaskFinished:
		r.ends[e.Task] = e
	}
}

// TestStream_Truth compares what a page receives with what really happened: the
// worker, the start, the duration, the input and the failure of each task.
func TestStream_Truth(t *testing.T) {
	real := &truth{starts: map[uint64]concert.Event{}, ends: map[uint64]concert.Event{}}
	ex := goroutines.New(4, &goroutines.Options{Observer: real.observe})
	defer ex.Close()
	server := httptest.NewServer(dashboard.Handler(ex))
	defer server.Close()

	const tasks = 400 // fewer than the recorder watches and shows in one period
	work := func(_ context.Context, n int) (int, error) {
		time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
		if n%10 == 3 {
			return 0, fmt.Errorf("input %d is refused", n)
		}
		return n, nil
	}
	spans := map[uint64][]any{}
	var last received
	submitted := false
	for f := range listen(t, server.URL+"/", "") {
		if len(f.Sources) != 1 {
			continue
		}
		for _, s := range f.Sources[0].Spans {
			id, err := strconv.ParseUint(s[0].(string), 10, 64)
			if err != nil || spans[id] != nil && !f.Full {
				t.Errorf("span %v is twice, or has no number: %v", s, err)
			}
			spans[id] = s
		}
		last = f
		if !submitted { // the first frame has arrived, so the recorder watches
			submitted = true
			inputs := make([]int, tasks)
			for i := range inputs {
				inputs[i] = i
			}
			ctx := concert.WithInputLabels(t.Context(), func(n int) string { return fmt.Sprintf("file %d", n) })
			for range concert.Map(ctx, ex, work, slices.Values(inputs)) {
			}
		}
		if f.Sources[0].Stats.Done == tasks && len(spans) == tasks {
			break
		}
	}
	source := last.Sources[0]
	if source.Name != "goroutines" || source.Stats.Failed != tasks/10 || source.Stats.Kinds["errors"] != tasks/10 {
		t.Errorf("the numbers are %+v", source.Stats)
	}
	real.mu.Lock()
	defer real.mu.Unlock()
	for id, start := range real.starts {
		s, end := spans[id], real.ends[id]
		if s == nil {
			t.Errorf("task %d is missing", id)
			continue
		}
		if int(s[1].(float64)) != start.Worker || s[4] != start.Name || s[6] != (end.Err != nil) {
			t.Errorf("task %d: %v; it was %+v", id, s, start)
		}
		if want := fmt.Sprintf("%d (%s)", start.Input.Index, start.Input.Label); s[5] != want {
			t.Errorf("task %d has the input %q, want %q", id, s[5], want)
		}
		if began, want := int64(s[2].(float64)), start.Time.UnixMicro(); began != want {
			t.Errorf("task %d started at %d us, want %d", id, began, want)
		}
		if took, want := s[3].(float64), float64(end.Time.Sub(start.Time))/1e3; took != want {
			t.Errorf("task %d took %v us, want %v", id, took, want)
		}
	}
	if len(source.Functions) != 1 || source.Functions[0].Done != tasks || source.Functions[0].Failed != tasks/10 {
		t.Errorf("the functions are %+v", source.Functions)
	}
	groups := source.Failures.Groups
	if len(groups) != 1 || groups[0].Count != tasks/10 || !strings.Contains(groups[0].Text, "is refused") || len(groups[0].Examples) == 0 ||
		groups[0].Examples[0].Index%10 != 3 || groups[0].Examples[0].Label != fmt.Sprintf("file %d", groups[0].Examples[0].Index) {
		t.Errorf("the failures are %+v", groups)
	}
}

// TestStream_Reconnect: a page that connects again with the id of its last
// frame must get the next frame. A page of an earlier program must get a
// complete frame.
func TestStream_Reconnect(t *testing.T) {
	ex := goroutines.New(1, nil)
	defer ex.Close()
	server := httptest.NewServer(dashboard.Handler(ex))
	defer server.Close()
	first := received{}
	for f := range listen(t, server.URL+"/", "") {
		first = f
		break
	}
	if !first.Full || first.id == "" {
		t.Fatalf("the first frame is %+v", first)
	}
	for f := range listen(t, server.URL+"/", first.id) {
		if f.Full || f.id == first.id {
			t.Errorf("after %s comes %+v", first.id, f)
		}
		break
	}
	for f := range listen(t, server.URL+"/", "other"+first.id[strings.LastIndex(first.id, "."):]) {
		if !f.Full {
			t.Errorf("a page of another program gets %+v", f)
		}
		break
	}
}

// TestStream_Close: when the program closes the Dashboard, each page must get
// a last frame with the final numbers, and its stream must end.
func TestStream_Close(t *testing.T) {
	ex := goroutines.New(1, nil)
	d := dashboard.New(nil)
	d.Add("pool", ex)
	server := httptest.NewServer(d)
	defer server.Close()
	var last received
	frames := 0
	for f := range listen(t, server.URL+"/", "") {
		last = f
		if frames++; frames == 1 {
			if _, err := concert.Submit(t.Context(), ex, func(context.Context, int) (int, error) { return 0, errors.New("no") }, 0).Result(t.Context()); err == nil {
				t.Error("no error")
			}
			ex.Close()
			go d.Close()
		}
	}
	if !last.Ended || last.Sources[0].Stats.Done != 1 || last.Sources[0].Stats.Failed != 1 {
		t.Errorf("the last frame is %+v", last)
	}
}

// TestStream_Slow: a page that does not read must not delay the tasks or
// another page.
func TestStream_Slow(t *testing.T) {
	var feed dashboard.Feed
	d := dashboard.New(nil)
	d.Add("feed", &feed)
	server := httptest.NewServer(d)
	defer server.Close()
	stuck, err := http.Get(server.URL + "/events") // its body is not read
	if err != nil {
		t.Fatal(err)
	}
	defer stuck.Body.Close()
	frames := 0
	for range listen(t, server.URL+"/", "") {
		for i := range uint64(1000) {
			id := uint64(frames)*1000 + i + 1
			feed.Observe(concert.Event{Kind: concert.TaskStarted, Task: id, Name: strings.Repeat("f", 5000), Worker: -1})
			feed.Observe(concert.Event{Kind: concert.TaskFinished, Task: id})
		}
		if frames++; frames == 6 {
			break
		}
	}
	d.Close()
}
