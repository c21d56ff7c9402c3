package supervisor

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// until returns a script that ends when a file exists. It starts no process.
func until(file string) string { return "until [ -e " + file + " ]; do :; done" }

// create creates an empty file.
func create(t *testing.T, file string) {
	t.Helper()
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// waits calls Run for a job that waits for a slot. The channel that it returns
// receives the error of Run.
func waits(t *testing.T, s *Supervisor, ctx context.Context, j Job) <-chan error {
	t.Helper()
	sent := s.numbers.Load() + 1
	ended := make(chan error, 1)
	go func() {
		_, err := s.Run(ctx, j)
		ended <- err
	}()
	waitFor(t, func() bool { return s.numbers.Load() == sent })
	return ended
}

// TestSlots: all jobs must run, and never more than Slots at the same time.
// OnStart must be called for each job before Run returns.
func TestSlots(t *testing.T) {
	const slots, jobs = 3, 60
	s := start(t, &Options{Slots: slots})
	out := temp(t)
	var started atomic.Int32
	var all sync.WaitGroup
	for range jobs {
		all.Go(func() {
			begun := false
			r, err := s.Run(t.Context(), Job{Args: shell("echo +; sleep 0.02; echo -"), Stdout: out, OnStart: func() {
				begun = true
				started.Add(1)
			}})
			if err != nil || r.ExitCode != 0 || !begun {
				t.Errorf("result %+v, error %v, reported %v", r, err, begun)
			}
		})
	}
	all.Wait()
	running, most := 0, 0
	for _, line := range strings.Fields(content(t, out)) {
		if line == "+" {
			running++
		} else {
			running--
		}
		most = max(most, running)
	}
	if started.Load() != jobs || most > slots {
		t.Errorf("%d jobs started, %d at the same time; want %d, %d", started.Load(), most, jobs, slots)
	}
}

// TestSlots_NextStartsWithoutRunner: the supervisor must start the next job
// even if the runner handles no messages.
func TestSlots_NextStartsWithoutRunner(t *testing.T) {
	s := start(t, &Options{Slots: 1})
	file := temp(t).Name() + ".started"
	goOn := make(chan bool)
	first := waits(t, s, t.Context(), Job{Args: []string{"true"}, OnStart: func() { <-goOn }}) // no message is read
	second := waits(t, s, t.Context(), Job{Args: shell("> " + file)})
	waitFor(t, func() bool { return exists(file) })
	close(goOn)
	if err := errors.Join(<-first, <-second); err != nil {
		t.Error(err)
	}
}

// TestSlots_CannotStart: a job that cannot start must leave its slot to the
// next job.
func TestSlots_CannotStart(t *testing.T) {
	s := start(t, &Options{Slots: 1})
	file := temp(t).Name() + ".go"
	first := waits(t, s, t.Context(), Job{Args: shell(until(file))})
	var wrong []<-chan error
	for range 5 {
		wrong = append(wrong, waits(t, s, t.Context(), Job{Args: []string{"./none"}}))
	}
	last := waits(t, s, t.Context(), Job{Args: []string{"true"}})
	create(t, file)
	for _, w := range wrong {
		if err := <-w; !errors.Is(err, unix.ENOENT) {
			t.Errorf("error %v", err)
		}
	}
	if err := <-first; err != nil {
		t.Error(err)
	}
	if err := <-last; err != nil {
		t.Error(err)
	}
}

// TestSlots_CanceledWhileWaiting: a canceled job that waits must be taken
// back, and the jobs behind it must run.
func TestSlots_CanceledWhileWaiting(t *testing.T) {
	s := start(t, &Options{Slots: 1})
	file := temp(t).Name()
	begun := make(chan bool)
	first := waits(t, s, t.Context(), Job{Args: shell(until(file + ".go")), OnStart: func() { close(begun) }})
	<-begun
	ctx, cancel := context.WithCancel(t.Context())
	second := waits(t, s, ctx, Job{Args: shell("> " + file + ".second"), OnStart: func() { t.Error("the second job has started") }})
	third := waits(t, s, t.Context(), Job{Args: shell("> " + file + ".third")})
	cancel()
	if err := <-second; err != ErrHeld {
		t.Errorf("error %v, want ErrHeld", err)
	}
	create(t, file+".go")
	if err := errors.Join(<-first, <-third); err != nil {
		t.Error(err)
	}
	if exists(file+".second") || !exists(file+".third") {
		t.Error("the second job ran, or the third one did not")
	}
}

// TestHold: after Hold, neither waiting nor later jobs may start. The running
// job must continue. If it is canceled, its slot must stay free.
func TestHold(t *testing.T) {
	for _, ends := range []string{"by itself", "canceled"} {
		t.Run(ends, func(t *testing.T) {
			for range 20 {
				s := start(t, &Options{Slots: 1})
				file := temp(t).Name()
				ctx, cancel := context.WithCancel(t.Context())
				begun := make(chan bool)
				first := waits(t, s, ctx, Job{Args: shell(until(file + ".go")), OnStart: func() { close(begun) }})
				<-begun
				var others []<-chan error
				for range 5 {
					others = append(others, waits(t, s, ctx, Job{Args: shell("> " + file + ".other"), OnStart: func() { t.Error("another job has started") }}))
				}
				var want error
				s.Hold()
				if ends == "canceled" {
					cancel()
					want = context.Canceled
				}
				for _, o := range others {
					if err := <-o; err != ErrHeld {
						t.Errorf("error %v, want ErrHeld", err)
					}
				}
				if ends == "by itself" {
					create(t, file+".go")
				}
				if err := <-first; err != want {
					t.Errorf("the running job: error %v, want %v", err, want)
				}
				cancel()
				if _, err := s.Run(t.Context(), Job{Args: shell("> " + file + ".other")}); err != ErrHeld {
					t.Errorf("a later job: error %v", err)
				}
				if exists(file + ".other") {
					t.Error("another job has started")
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestHold_Stopped: Hold must continue a supervisor that was stopped.
// Otherwise Hold would block, because the socket has no room for its message.
func TestHold_Stopped(t *testing.T) {
	s := start(t, &Options{Slots: 1})
	file := temp(t).Name()
	begun := make(chan bool)
	first := waits(t, s, t.Context(), Job{Args: shell(until(file + ".go")), OnStart: func() { close(begun) }})
	<-begun
	unix.Kill(s.process.Process.Pid, unix.SIGSTOP)
	var others []<-chan error
	for range 500 { // more than the socket takes
		others = append(others, waits(t, s, t.Context(), Job{Args: []string{"true", strings.Repeat("x", 4000)}}))
	}
	s.Hold()
	for _, o := range others {
		if err := <-o; err != ErrHeld {
			t.Errorf("error %v, want ErrHeld", err)
		}
	}
	create(t, file+".go")
	if err := <-first; err != nil {
		t.Error(err)
	}
}

// TestSlots_Closed: Close and the death of the supervisor must end the calls
// of Run for jobs that wait.
func TestSlots_Closed(t *testing.T) {
	for name, end := range map[string]func(s *Supervisor) error{
		"Close": func(s *Supervisor) error {
			s.Close()
			return ErrClosed
		},
		"killed": func(s *Supervisor) error {
			unix.Kill(s.process.Process.Pid, unix.SIGKILL)
			return ErrDied
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMark()
			s := start(t, &Options{Slots: 1})
			out := temp(t)
			first := waits(t, s, t.Context(), m.job("echo up; exec sleep MARK", out))
			second := waits(t, s, t.Context(), m.job("echo up; exec sleep MARK", out))
			waitFor(t, func() bool { return content(t, out) != "" })
			want := end(s)
			for _, ended := range []<-chan error{first, second} {
				if err := <-ended; !errors.Is(err, want) {
					t.Errorf("error %v, want %v", err, want)
				}
			}
			m.wantNone(t)
			if content(t, out) != "up\n" {
				t.Error("the second job has started")
			}
		})
	}
}

// TestHold_StartOnItsWay: if the supervisor receives a start message after the
// message of Hold, it must not start the job.
func TestHold_StartOnItsWay(t *testing.T) {
	s := start(t, &Options{Slots: 1})
	s.Hold()
	m := startMessage{number: 1000, path: "/bin/true", args: []string{"true"}}
	c := &call{done: make(chan struct{}), start: func() { t.Error("the job has started") }}
	if err := s.add(m.number, c); err != nil {
		t.Fatal(err)
	}
	if err := sendStart(s.conn, &m, [3]*os.File{}); err != nil {
		t.Fatal(err)
	}
	if <-c.done; c.err != ErrHeld {
		t.Errorf("error %v, want ErrHeld", c.err)
	}
}
