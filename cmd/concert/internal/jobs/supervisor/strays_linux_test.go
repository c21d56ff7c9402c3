package supervisor

import (
	"context"
	"fmt"
	"os"
	"sync"
	"syscall"
	"testing"
)

// TestRun_Stray: a process that may belong to two jobs must end when both have
// ended.
func TestRun_Stray(t *testing.T) {
	m := newMark()
	s := start(t, &Options{noGroups: true})
	out := temp(t)
	ended := make(chan Result, 1)
	go func() {
		r, err := s.Run(t.Context(), m.job(": MARK; while [ ! -e "+out.Name()+".end ]; do sleep 0.01; done", nil))
		if err != nil {
			t.Error(err)
		}
		ended <- r
	}()
	waitFor(t, func() bool { return len(m.processes()) > 0 })
	r, err := s.Run(t.Context(), m.job("env -i setsid sh -c 'echo up; exec sleep MARK' &\nwhile [ ! -s "+out.Name()+" ]; do sleep 0.01; done", out))
	if err != nil || r.Survivors != 1 {
		t.Errorf("result %+v, error %v; want a survivor", r, err)
	}
	if !m.sleeps() {
		t.Error("the stray was killed")
	}
	os.WriteFile(out.Name()+".end", nil, 0o600)
	if r := <-ended; r.Survivors != 0 {
		t.Errorf("result %+v", r)
	}
	if left := m.processes(); len(left) > 0 {
		t.Errorf("processes are left: %q", left)
	}
}

// TestRun_ForkingStray: a process without an environment forks and exits again
// and again, so that its pid changes each time. It must end with the last job
// that it may belong to. No job may wait until it ends by itself.
func TestRun_ForkingStray(t *testing.T) {
	for _, other := range []bool{false, true} { // another job is running
		t.Run(fmt.Sprintf("other job %v", other), func(t *testing.T) {
			t.Parallel()
			s := start(t, &Options{noGroups: true})
			m, sleeper := newMark(), newMark()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var jobs sync.WaitGroup
			if other {
				jobs.Go(func() { s.Run(ctx, sleeper.job("exec sleep MARK", nil)) })
				waitFor(t, sleeper.sleeps)
			}
			out := temp(t)
			const script = `f() { n=$((n+1)); [ $n != 5 ] || echo up; [ $n != 600 ] || { echo ended; exit; }; sleep 0.01; f & exit; }; f; : MARK`
			r, err := s.Run(t.Context(), m.job("env -i setsid sh -c '"+script+"' &\nwhile [ ! -s "+out.Name()+" ]; do sleep 0.01; done", out))
			if err != nil || r.ExitCode != 0 || other != (r.Survivors > 0) {
				t.Errorf("result %+v, error %v", r, err)
			}
			cancel()
			jobs.Wait()
			if left := m.processes(); len(left) > 0 {
				t.Errorf("processes are left: %q", left)
			}
			if got := content(t, out); got != "up\n" {
				t.Errorf("output %q; want that the process was killed", got)
			}
		})
	}
}

// TestClose_Sibling: a child that a command made with CLONE_PARENT is not in
// the list of orphans. It must end when the supervisor is closed.
func TestClose_Sibling(t *testing.T) {
	m := newMark()
	s := start(t, &Options{noGroups: true})
	out := temp(t)
	job := m.job("", out)
	job.Args = []string{"/proc/self/exe"}
	job.Env = []string{siblingVariable + "=" + string(m)}
	if r, err := s.Run(t.Context(), job); err != nil || r.ExitCode != 0 {
		t.Fatal(r, err)
	}
	if !m.sleeps() {
		t.Fatal("there is no such child")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if left := m.processes(); len(left) > 0 {
		t.Errorf("processes are left: %q", left)
	}
}

// siblingVariable makes the test binary start a process that sleeps for the
// time in its value. The process is a child of the parent of the test binary.
// Then the test binary executes its arguments, if it has any.
const siblingVariable = "CONCERT_TEST_SIBLING"

func sibling() {
	m := os.Getenv(siblingVariable)
	if m == "" {
		return
	}
	_, err := syscall.ForkExec("/bin/sleep", []string{"sleep", m}, &syscall.ProcAttr{
		Env: os.Environ(),
		Sys: &syscall.SysProcAttr{Cloneflags: syscall.CLONE_PARENT, Setsid: true},
	})
	if err != nil {
		panic(err)
	}
	if len(os.Args) > 1 {
		panic(syscall.Exec(os.Args[1], os.Args[1:], os.Environ()))
	}
	os.Exit(0)
}
