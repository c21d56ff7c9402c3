package dashboard

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"concert"
)

// run reports a task with a duration to a feed.
func run(f *Feed, task uint64, name string, took time.Duration, err error) {
	now := time.Now()
	f.Observe(concert.Event{Kind: concert.TaskStarted, Task: task, Name: name, Worker: 0, Time: now})
	f.Observe(concert.Event{Kind: concert.TaskFinished, Task: task, Name: name, Worker: 0, Time: now.Add(took), Err: err})
}

// startRecorder returns a recorder of a feed that has begun to record. The end
// of the test detaches it.
func startRecorder(t *testing.T, f *Feed, now time.Time) *recorder {
	r := newRecorder("feed", f)
	r.start(now)
	t.Cleanup(r.attachment.detach)
	return r
}

// observersNow returns the number of observers of a feed.
func (f *Feed) observersNow() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.observers)
}

// TestRecorder_Sampling: in a period with many tasks, the observer must be
// detached, and the spans must be a sample. The numbers of the functions must
// be estimates whose sum is about the exact total.
func TestRecorder_Sampling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f Feed
		r := startRecorder(t, &f, time.Now())
		time.Sleep(interval)
		const many = 20 * shortTasks
		for i := range uint64(many) {
			name := "even"
			if i%2 == 1 {
				name = "odd"
			}
			run(&f, i+1, name, time.Duration(i%100)*time.Microsecond, nil)
			if i == shortTasks { // the observer is detached on another goroutine
				synctest.Wait()
				if n := f.observersNow(); n != 0 {
					t.Errorf("after %d tasks, %d observers are attached", i, n)
				}
			}
		}
		c := r.collect(time.Now())
		if n := f.observersNow(); n != 1 {
			t.Errorf("in the next period, %d observers are attached", n)
		}
		if !c.frame.Sampled || c.point.Of != many || c.point.Shown != len(c.spans) || c.point.Shown < maxNewSpans*9/10 || c.point.Shown > maxNewSpans {
			t.Errorf("sampled %v: shows %d (%d spans) of %d", c.frame.Sampled, c.point.Shown, len(c.spans), c.point.Of)
		}
		if want := float64(many) / interval.Seconds(); c.point.Rate != want {
			t.Errorf("the rate is %v, want %v", c.point.Rate, want)
		}
		if c.frame.Stats.Done != many {
			t.Errorf("%d tasks are done", c.frame.Stats.Done)
		}
		total := int64(0)
		for _, row := range c.frame.Functions {
			total += row.Done
			if row.Done < many/2*9/10 || row.Done > many/2*11/10 {
				t.Errorf("%s: %d tasks, want about %d", row.Name, row.Done, many/2)
			}
			if row.P50 < 40 || row.P50 > 60 {
				t.Errorf("%s: the median is %v us, want about 50", row.Name, row.P50)
			}
		}
		if total < many-2 || total > many+2 {
			t.Errorf("the functions have %d tasks, want %d", total, many)
		}

		// A period with few tasks shows all of them.
		time.Sleep(interval)
		run(&f, many+1, "even", time.Millisecond, nil)
		c = r.collect(time.Now())
		if c.frame.Sampled || !c.frame.Estimated || c.point.Of != 1 || len(c.spans) != 1 || c.spans[0].took != time.Millisecond {
			t.Errorf("after a single task: %+v", c)
		}
	})
}

// TestRecorder_LongTasks: if tasks are long, the observer must stay attached
// for more tasks, so that it sees their ends.
func TestRecorder_LongTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f Feed
		r := startRecorder(t, &f, time.Now())
		run(&f, 1, "f", 2*longTime, nil)
		time.Sleep(interval)
		r.collect(time.Now())
		for i := range uint64(longTasks - 1) {
			run(&f, i+2, "f", 2*longTime, nil)
		}
		synctest.Wait()
		if n := f.observersNow(); n != 1 {
			t.Errorf("%d observers are attached", n)
		}
	})
}

// TestRecorder_Running: running tasks must be listed with their progress until
// they end, with the oldest task first.
func TestRecorder_Running(t *testing.T) {
	var f Feed
	begin := time.Now()
	f.Observe(concert.Event{Kind: concert.TaskStarted, Task: 7, Name: "f", Worker: -1, Time: begin})
	r := startRecorder(t, &f, begin)
	f.Observe(concert.Event{Kind: concert.TaskStarted, Task: 5, Name: "g", Worker: -1, Time: begin.Add(time.Second)})
	f.Observe(concert.Event{Kind: concert.TaskProgress, Task: 5, Done: 3, Total: 4})
	c := r.collect(begin.Add(2 * time.Second))
	if len(c.frame.Running) != 2 || c.frame.Running[0].id != 7 || c.frame.Running[1].worker != 1 || c.frame.Running[1].done != 3 || c.frame.Running[1].total != 4 {
		t.Fatalf("running: %+v", c.frame.Running)
	}
	f.Observe(concert.Event{Kind: concert.TaskFinished, Task: 7})
	c = r.collect(begin.Add(3 * time.Second))
	if len(c.frame.Running) != 1 || len(c.spans) != 1 || c.spans[0].task != 7 || c.spans[0].name != "f" {
		t.Errorf("running: %+v, spans: %+v", c.frame.Running, c.spans)
	}
}

// TestRecorder_LongTexts: the recorder must shorten long names and labels.
func TestRecorder_LongTexts(t *testing.T) {
	var f Feed
	r := startRecorder(t, &f, time.Now())
	long := strings.Repeat("x", 1<<20)
	f.Observe(concert.Event{Kind: concert.TaskStarted, Task: 1, Name: long, Input: &concert.Input{Name: long, Index: 3, Label: long}, Worker: 0})
	f.Observe(concert.Event{Kind: concert.TaskFinished, Task: 1, Err: errors.New("refused " + long)})
	c := r.collect(time.Now())
	text, err := json.Marshal(c.frame)
	if err != nil {
		t.Fatal(err)
	}
	if s := c.spans[0]; len(s.name) > maxName+3 || len(s.input.Label)+len(s.input.Name) > 2*maxName+6 || len(text) > 10*maxName+maxText+maxDetail {
		t.Errorf("a name of %d bytes, a label of %d bytes, a frame of %d bytes", len(s.name), len(s.input.Label), len(text))
	}
	if tasks := r.causes.take(0); len(tasks) != 1 || len(tasks[0].Input.Label) > maxName+3 {
		t.Errorf("the task to replay is %.300v", tasks)
	}
}

// TestRecorder_ManyOpen: if more tasks run than the recorder keeps, the frame
// must say that only some tasks were observed.
func TestRecorder_ManyOpen(t *testing.T) {
	var f Feed
	begin := time.Now()
	r := startRecorder(t, &f, begin)
	const many = maxOpen + 800
	for i := range uint64(many) {
		f.Observe(concert.Event{Kind: concert.TaskStarted, Task: i, Worker: 0})
	}
	if c := r.collect(begin.Add(interval)); c.point.Shown != 0 || c.point.Of != 800 {
		t.Errorf("shows %d of %d tasks", c.point.Shown, c.point.Of)
	}
}
