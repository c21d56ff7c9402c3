package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// TestStopSupervisor: a job may stop the supervisor by a signal. The end of a
// context, or Close, must continue the supervisor.
func TestStopSupervisor(t *testing.T) {
	stop := Job{Args: shell("kill -STOP $PPID; exec sleep 1000")}
	s := start(t, nil)
	stopped := func() bool {
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.process.Process.Pid))
		return strings.Contains(string(stat), ") T ")
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		waitFor(t, stopped)
		cancel()
	}()
	if _, err := s.Run(ctx, stop); err != context.Canceled {
		t.Errorf("error %v", err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := s.Run(context.Background(), stop)
		ended <- err
	}()
	waitFor(t, stopped)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != ErrClosed {
		t.Errorf("error %v, want ErrClosed", err)
	}
}

// TestPause: Pause must stop a job, and Resume must continue it.
func TestPause(t *testing.T) {
	s := start(t, nil)
	out := temp(t)
	ended := make(chan error, 1)
	go func() {
		_, err := s.Run(t.Context(), Job{Args: shell("echo $$; while [ ! -e " + out.Name() + ".end ]; do :; done"), Stdout: out})
		ended <- err
	}()
	waitFor(t, func() bool { return content(t, out) != "" })
	// The script starts no process, because a shell cannot be stopped while it
	// starts a process.
	state := func() string {
		stat, _ := os.ReadFile("/proc/" + strings.TrimSpace(content(t, out)) + "/stat")
		return strings.Fields(string(stat))[2]
	}
	for range 3 {
		s.Pause()
		s.Resume() // the next message must not overtake the message of Resume
		s.Pause()
		waitFor(t, func() bool { return state() == "T" })
		s.Resume()
		waitFor(t, func() bool { return state() != "T" })
	}
	os.WriteFile(out.Name()+".end", nil, 0o600)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestPauseStart: a job that starts after Pause must be stopped until Resume.
func TestPauseStart(t *testing.T) {
	s := start(t, nil)
	s.Pause()
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, err := s.Run(ctx, Job{Args: []string{"sleep", "1000"}})
		ended <- err
	}()
	waitFor(t, func() bool {
		for _, pid := range childrenOf(s.process.Process.Pid) {
			stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			if strings.Contains(string(stat), ") T ") {
				return true
			}
		}
		return false
	})
	cancel()
	if err := <-ended; err != context.Canceled {
		t.Errorf("error %v", err)
	}
	s.Resume()
	if r, err := s.Run(t.Context(), Job{Args: []string{"true"}}); err != nil || r.ExitCode != 0 {
		t.Errorf("after Resume: result %+v, error %v", r, err)
	}
}

// TestPause_Flood: Pause must return even if the socket is full of messages in
// both directions.
func TestPause_Flood(t *testing.T) {
	s := start(t, nil)
	var jobs sync.WaitGroup
	for range 2000 {
		jobs.Go(func() {
			for range 3 {
				if _, err := s.Run(t.Context(), Job{Args: []string{"./no-such-program"}}); !errors.Is(err, unix.ENOENT) {
					t.Error(err)
				}
			}
		})
	}
	ended := make(chan bool)
	go func() {
		jobs.Wait()
		close(ended)
	}()
	for {
		select {
		case <-ended:
			return
		default:
			s.Pause()
			s.Resume()
		}
	}
}
