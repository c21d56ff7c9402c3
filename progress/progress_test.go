package progress_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"concert"
	"concert/internal/logtest"
	"concert/progress"
)

// events calls an Observer with events.
type events func(concert.Event)

func (o events) submit(task uint64) {
	o(concert.Event{Kind: concert.TaskSubmitted, Task: task, Worker: -1})
}
func (o events) start(task uint64) { o(concert.Event{Kind: concert.TaskStarted, Task: task}) }
func (o events) cancel(task uint64) {
	o(concert.Event{Kind: concert.TaskFinished, Task: task, Worker: -1, Err: concert.ErrCanceled})
}
func (o events) finish(task uint64, err error) {
	o(concert.Event{Kind: concert.TaskFinished, Task: task, Err: err})
}
func (o events) report(task uint64, done, total int64) {
	o(concert.Event{Kind: concert.TaskProgress, Task: task, Done: done, Total: total})
}

func TestBar_Terminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out logtest.Buffer
		d := progress.New(&out, &progress.Options{Format: progress.Bar, Total: 4, Noun: "files", Unit: progress.Bytes})
		o := events(d.Observe)
		step := func(want string) {
			t.Helper()
			time.Sleep(2 * time.Second)
			synctest.Wait()
			frames := strings.Split(out.Take(), "\r\x1b[K")
			if got := frames[len(frames)-1]; got != want {
				t.Errorf("it shows\n%q, want\n%q", got, want)
			}
		}
		for task := range uint64(4) {
			o.submit(task)
		}
		step("[>                             ]  0 of 4 files, 0 B/s")
		o.start(0)
		o.report(0, 1e6, 4e6) // a continued download: these bytes have arrived earlier
		step("[=>                            ]  0 of 4 files, 0 B/s, 60 s left")
		o.report(0, 2e6, 4e6)
		o.start(1)
		o.finish(1, errors.New("no"))
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		out.Take()
		fmt.Fprintln(d.Above(&out), "a line of its own")
		if got := out.Take(); !strings.HasPrefix(got, "\r\x1b[Ka line of its own\n[=>") {
			t.Errorf("Above() wrote %q", got)
		}
		time.Sleep(-100*time.Millisecond + 20*time.Second)
		step("[===========>                  ]  1 of 4 files, 1 failed, 0 B/s, 43 s left")
		o.start(2)
		o.finish(2, nil)
		o.finish(0, nil)
		o.cancel(3)
		step("[==============================]  4 of 4 files, 2 failed, 0 B/s")
		err := d.Close()
		if got := out.Take(); err != nil || got != "\r\x1b[K2 of 4 files in 28 s, 1 MB, 2 failed\n" {
			t.Errorf("Close() = %v and wrote %q", err, got)
		}
		if d.Close() != nil {
			t.Error("Close() again is an error")
		}
	})
}

// TestBar_Amounts: as soon as all tasks have reported their totals, the amounts
// must be shown, and decide about the bar and the remaining time.
func TestBar_Amounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out logtest.Buffer
		d := progress.New(&out, &progress.Options{Format: progress.Bar, Total: 3, Noun: "files", Unit: progress.Bytes})
		o := events(d.Observe)
		step := func(want string) {
			t.Helper()
			time.Sleep(2 * time.Second)
			synctest.Wait()
			frames := strings.Split(out.Take(), "\r\x1b[K")
			if got := frames[len(frames)-1]; got != want {
				t.Errorf("it shows\n%q, want\n%q", got, want)
			}
		}
		o.start(0)
		o.report(0, 0, 1e6)
		o.report(0, 1e6, 1e6)
		o.finish(0, nil)
		o.start(1)
		o.report(1, 5e6, 9e6) // continued
		step("[===============>              ]  1 of 3 files, 1.44 MB/s, 2 s left")
		o.start(2)
		step("[===============>              ]  1 of 3 files, 359 kB/s, 4 s left") // one total is not known yet
		o.report(2, 0, 10e6)
		o.report(2, 1e6, 10e6)
		step("[=======>             ]  1 of 3 files, 7 MB of 20 MB (35%), 276 kB/s, 39 s left")
		o.finish(1, errors.New("no"))
		step("[====>     ]  2 of 3 files, 1 failed, 7 MB of 16 MB (44%), 68.9 kB/s, 36 s left")
		o.report(2, 10e6, 10e6)
		o.finish(2, nil)
		step("[==============================]  3 of 3 files, 1 failed, 1.69 MB/s")
		d.Close()
	})
}

// TestRunning_AddedLate: a Display that observes a running executor may
// receive only the last events of a task. It must only count a running task if
// it has observed the start of the task.
func TestRunning_AddedLate(t *testing.T) {
	d := progress.New(io.Discard, nil)
	defer d.Close()
	o := events(d.Observe)
	o.report(1, 1, 2)
	o.finish(1, nil)
	o.finish(2, nil)
	if got := d.String(); !strings.HasPrefix(got, "2 tasks, 0 running") {
		t.Errorf("after the ends of two tasks, it shows %q", got)
	}
	o.start(3)
	if got := d.String(); !strings.HasPrefix(got, "2 tasks, 1 running") {
		t.Errorf("after the start of another task, it shows %q", got)
	}
	o.finish(3, nil)
	if got := d.String(); !strings.HasPrefix(got, "3 tasks, 0 running") {
		t.Errorf("after its end, it shows %q", got)
	}
}

func TestBar_Rate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := progress.New(io.Discard, &progress.Options{Format: progress.Bar, Unit: progress.Bytes})
		defer d.Close()
		o := events(d.Observe)
		o.start(7)
		time.Sleep(50 * time.Millisecond)
		o.report(7, 0, 0)
		for i := range int64(200) {
			time.Sleep(100 * time.Millisecond)
			o.report(7, i*100_000, 0)
		}
		if got := d.String(); got != "0 tasks, 1 running, 1 MB/s" {
			t.Errorf("String() = %q", got)
		}
		o.report(7, 0, 0) // the task begins again; the decrease must not change the rate
		time.Sleep(40 * time.Second)
		if got := d.String(); got != "0 tasks, 1 running, 0 B/s" {
			t.Errorf("String() = %q", got)
		}
	})
}

func TestLines_Log(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out logtest.Buffer
		d := progress.New(&out, nil) // no terminal
		o := events(d.Observe)
		time.Sleep(time.Millisecond)
		for task := range uint64(1000) {
			o.start(task)
			if task != 500 {
				o.finish(task, nil)
			}
			time.Sleep(25 * time.Millisecond)
		}
		d.Close()
		if got, want := out.Take(), "400 tasks, 0 running\n799 tasks, 1 running\n999 tasks in 25 s\n"; got != want {
			t.Errorf("it wrote\n%s want\n%s", got, want)
		}
	})
}

// misbehaviors returns functions that panic, end their goroutine, or hang until
// release is closed.
func misbehaviors(release <-chan struct{}) map[string]func() {
	return map[string]func(){
		"panics": func() { panic("out of cheese") },
		"exits":  runtime.Goexit,
		"hangs":  func() { <-release },
	}
}

// TestUnit_Fails: after a call of Unit has failed, a Display must show plain
// numbers, and must not call Unit again.
func TestUnit_Fails(t *testing.T) {
	for name := range misbehaviors(nil) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out logtest.Buffer
				release := make(chan struct{})
				defer close(release)
				var calls atomic.Int32
				d := progress.New(&out, &progress.Options{Unit: func(int64) string {
					calls.Add(1)
					misbehaviors(release)[name]()
					return "never"
				}})
				o := events(d.Observe)
				o.start(1)
				time.Sleep(15 * time.Second)
				o.report(1, 0, 10)
				o.report(1, 5, 10)
				d.Close()
				if got, want := out.Take(), "0 tasks, 1 running, 0/s\n0 tasks in 15 s, 5\n"; got != want {
					t.Errorf("it wrote\n%s want\n%s", got, want)
				}
				if n := calls.Load(); n != 1 {
					t.Errorf("Unit was called %d times, want once", n)
				}
			})
		})
	}
}

// badError is an error with an Error method that fails.
type badError struct{ fail func() }

// Error fails.
func (e badError) Error() string { e.fail(); return "never" }

// TestJSON_BadErrors: if the Error method of an error fails, the line must have
// a text that says so.
func TestJSON_BadErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out logtest.Buffer
		d := progress.New(&out, &progress.Options{Format: progress.JSON})
		release := make(chan struct{})
		defer close(release)
		for _, fail := range misbehaviors(release) {
			d.Observe(concert.Event{Kind: concert.TaskFinished, Task: 1, Worker: -1, Err: badError{fail}})
		}
		d.Close()
		got := out.Take()
		for _, want := range []string{"panicked: out of cheese", "called runtime.Goexit", "did not return within 1s"} {
			if !strings.Contains(got, want) {
				t.Errorf("no record has %q:\n%s", want, got)
			}
		}
	})
}

func TestJSON_ConcurrentEvents(t *testing.T) {
	var out logtest.Buffer
	d := progress.New(&out, &progress.Options{Format: progress.JSON})
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			for i := range 1000 {
				d.Observe(concert.Event{Kind: concert.TaskStarted, Task: uint64(1000*w + i), Name: "f", Worker: w, Time: time.Unix(1, 0).UTC()})
			}
		})
	}
	all.Wait()
	d.Observe(concert.Event{Kind: concert.TaskProgress, Task: 7, Worker: 0, Done: 3, Total: 5})
	d.Observe(concert.Event{Kind: concert.TaskFinished, Task: 8, Worker: -1, Err: errors.New("a\nb")})
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d.Observe(concert.Event{Kind: concert.TaskStarted}) // too late: it has no effect
	seen := map[uint64]int{}
	lines := strings.Split(strings.TrimSuffix(out.Take(), "\n"), "\n")
	for _, line := range lines {
		var r progress.Record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		seen[r.Task]++
	}
	if len(lines) != 4002 || len(seen) != 4000 {
		t.Errorf("%d lines of %d tasks, want 4002 of 4000", len(lines), len(seen))
	}
	want := `{"event":"progress","task":7,"worker":0,"time":"0001-01-01T00:00:00Z","done":3,"total":5}
{"event":"finished","task":8,"time":"0001-01-01T00:00:00Z","error":"a\nb"}`
	if got := strings.Join(lines[4000:], "\n"); got != want {
		t.Errorf("the last lines are\n%s want\n%s", got, want)
	}
}

// TestJSON_SlowReader: if the reader does not read, Observe must block after a
// bounded number of events. When the reader is closed, Observe must continue.
func TestJSON_SlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, out := io.Pipe()
		d := progress.New(out, &progress.Options{Format: progress.JSON})
		observed := 0
		go func() {
			for range 50_000 {
				d.Observe(concert.Event{Kind: concert.TaskStarted, Name: strings.Repeat("x", 100)})
				observed++
			}
		}()
		synctest.Wait()
		if observed < 1000 || observed == 50_000 {
			t.Errorf("%d events before Observe blocks", observed)
		}
		in.CloseWithError(errors.New("no reader"))
		synctest.Wait()
		if observed != 50_000 {
			t.Errorf("%d events after the reader was closed", observed)
		}
		if err := d.Close(); err == nil || err.Error() != "no reader" {
			t.Errorf("Close() = %v, want the reader's error", err)
		}
	})
}

// short writes half of each slice.
type short struct{}

func (short) Write(p []byte) (int, error) { return len(p) / 2, nil }

func TestClose_WriteError(t *testing.T) {
	d := progress.New(short{}, nil)
	if err := d.Close(); err == nil || !strings.Contains(err.Error(), "short write") {
		t.Errorf("Close() = %v, want a short write", err)
	}
}

func TestNew_Panics(t *testing.T) {
	for _, f := range []func(){
		func() { progress.New(nil, nil) },
		func() { progress.New(io.Discard, &progress.Options{Total: -1}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("New() did not panic")
				}
			}()
			f()
		}()
	}
}

func TestIsTerminal(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/f")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if progress.IsTerminal(f) || progress.IsTerminal(io.Discard) {
		t.Error("IsTerminal() of a file or a writer is true")
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if progress.IsTerminal(null) {
		t.Error("IsTerminal() of the null device is true")
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1 kB", 1234567: "1.23 MB", 999_999: "1 MB", 12_300_000_000: "12.3 GB", 1 << 62: "4.61 EB"} {
		if got := progress.Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		125 * time.Second: "2m5s", 4560 * time.Millisecond: "4.56 s", 12300 * time.Microsecond: "12.3 ms", 5 * time.Microsecond: "5 us", 999_700 * time.Microsecond: "1 s", 0: "0 us",
	} {
		if got := progress.Duration(d); got != want {
			t.Errorf("Duration(%v) = %q, want %q", d, got, want)
		}
	}
}
