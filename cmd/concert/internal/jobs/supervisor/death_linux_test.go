package supervisor

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// runnerVariable makes the test binary a runner of jobs with this mark.
const runnerVariable = "CONCERT_TEST_RUNNER"

// plainVariable makes the runner run a single command without descendants.
const plainVariable = "CONCERT_TEST_PLAIN"

// runner is the program of a runner that a test kills. It runs jobs until
// then.
func runner() {
	m := mark(os.Getenv(runnerVariable))
	if m == "" {
		return
	}
	s, err := Start(&Options{noGroups: os.Getenv(noGroupsVariable) != ""})
	if err != nil {
		panic(err)
	}
	if _, ok := os.LookupEnv(plainVariable); ok {
		s.Run(context.Background(), m.job("echo up; exec sleep MARK", os.Stdout))
	}
	var jobs sync.WaitGroup
	for _, d := range descendants {
		jobs.Go(func() { s.Run(context.Background(), m.job(forever(d.script), os.Stdout)) })
	}
	jobs.Wait()
}

// forever returns a script of descendants with a command that never ends.
func forever(script string) string { return script + "\nexec sleep MARK" }

// allUp returns the number of lines that all scripts in descendants write.
func allUp() (n int) {
	for _, d := range descendants {
		n += d.count
	}
	return n
}

// startRunner starts a runner in its own process group. It waits until the
// jobs of the runner have written the given number of lines (up).
func startRunner(t *testing.T, m mark, up int, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(append(os.Environ(), runnerVariable+"="+string(m)), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{temp(t)}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	lines := bufio.NewScanner(out)
	for range up {
		if !lines.Scan() {
			t.Fatal("the runner ended: ", lines.Err())
		}
	}
	return cmd
}

// supervisorOf returns the supervisor of a runner.
func supervisorOf(runner int) int {
	own, _ := os.Readlink("/proc/self/exe")
	for _, pid := range childrenOf(runner) {
		if exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); exe == own {
			return pid
		}
	}
	return 0
}

// TestRunnerKilled: after SIGKILL for the runner, or for its process group, no
// process may be left.
func TestRunnerKilled(t *testing.T) {
	for _, c := range []struct {
		name string
		kill func(runner int) error
	}{
		{"process", func(pid int) error { return unix.Kill(pid, unix.SIGKILL) }},
		{"group", func(pid int) error { return unix.Kill(-pid, unix.SIGKILL) }},
		{"SIGTERM", func(pid int) error { return unix.Kill(pid, unix.SIGTERM) }},
		{"supervisor stopped", func(pid int) error {
			unix.Kill(supervisorOf(pid), unix.SIGSTOP)
			return unix.Kill(pid, unix.SIGKILL)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMark()
			cmd := startRunner(t, m, allUp())
			if n := len(m.processes()); n < allUp() {
				t.Fatalf("only %d processes", n)
			}
			if err := c.kill(cmd.Process.Pid); err != nil {
				t.Fatal(err)
			}
			m.wantNone(t)
		})
	}
}

// TestInheritedFiles: a job must have the files that the runner has inherited,
// and no other files.
func TestInheritedFiles(t *testing.T) {
	m := newMark()
	cmd := startRunner(t, m, 1, plainVariable+"=")
	want := cmd.ExtraFiles[0].Name()
	waitFor(t, m.sleeps)
	for _, job := range childrenOf(supervisorOf(cmd.Process.Pid)) {
		files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", job))
		own, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/3", job))
		if len(files) < 4 || own != want {
			t.Errorf("files %q, and 3 is %q; want %q", files, own, want)
		}
		for _, f := range files {
			if name, _ := os.Readlink(f); strings.HasPrefix(name, "socket:") || strings.HasPrefix(name, "/proc") {
				t.Errorf("%s is %s", f, name)
			}
		}
	}
}

// TestBothKilled: if both the runner and the supervisor are killed, the kernel
// must kill the commands. If there are control groups, the keeper must kill
// all descendants.
func TestBothKilled(t *testing.T) {
	for _, c := range []struct {
		name  string
		up    int
		plain string
	}{{"commands", 1, plainVariable + "="}, {"descendants", allUp(), "A=b"}} {
		t.Run(c.name, func(t *testing.T) {
			if c.up > 1 && start(t, nil).groups == nil {
				t.Skip("this process cannot make control groups")
			}
			m := newMark()
			runner := startRunner(t, m, c.up, c.plain).Process.Pid
			supervisor := supervisorOf(runner)
			if supervisor == 0 {
				t.Fatal("the runner has no supervisor")
			}
			unix.Kill(runner, unix.SIGSTOP)
			unix.Kill(supervisor, unix.SIGKILL)
			waitFor(t, func() bool { // the supervisor is a zombie
				_, empty := jobOf(supervisor)
				return empty
			})
			unix.Kill(runner, unix.SIGKILL)
			m.wantNone(t)
		})
	}
}

// TestRunnerInJob: if a job is itself a runner, the end of this job must end
// the jobs of the runner.
func TestRunnerInJob(t *testing.T) {
	m := newMark()
	s := start(t, &Options{Grace: -1})
	out := temp(t)
	// Another job runs at the same time. So only the variable of the outer run
	// shows that the processes of the inner run belong to this job.
	other, end := context.WithCancel(t.Context())
	defer end()
	go s.Run(other, Job{Args: []string{"sleep", "1000"}})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for strings.Count(content(t, out), "up\n") < allUp() {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	r, err := s.Run(ctx, Job{Args: []string{os.Args[0]}, Env: []string{runnerVariable + "=" + string(m)}, Stdout: out, Stderr: os.Stderr})
	if !errors.Is(err, context.Canceled) || r.Survivors != 0 {
		t.Errorf("result %+v, error %v", r, err)
	}
	if left := m.processes(); len(left) > 0 {
		t.Errorf("processes are left: %q", left)
	}
}

// TestSupervisorKilled: running jobs must fail with ErrDied, and no process
// may be left. The only exception is a stray if there are no control groups.
func TestSupervisorKilled(t *testing.T) {
	m := newMark()
	s := start(t, nil)
	out := temp(t)
	errs := make(chan error, len(descendants))
	jobs, want := 0, 0
	for _, d := range descendants {
		if d.stray && s.groups == nil {
			continue
		}
		jobs, want = jobs+1, want+d.count
		go func() {
			_, err := s.Run(context.Background(), m.job(forever(d.script), out))
			errs <- err
		}()
	}
	waitFor(t, func() bool { return strings.Count(content(t, out), "up\n") == want })
	other := exec.Command("sleep", "1000") // a child of another part of the program
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer other.Wait()
	defer other.Process.Kill()
	pid := s.process.Process.Pid
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("the process that supervises the commands died (process %d: signal: killed); all running commands were killed", pid)
	for range jobs {
		if err := <-errs; !errors.Is(err, ErrDied) || err.Error() != text {
			t.Errorf("error %v, want %s", err, text)
		}
	}
	if left := m.processes(); len(left) > 0 {
		t.Errorf("processes are left: %q", left)
	}
	if err := other.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("a process that is not a job: %v", err)
	}
	if _, err := s.Run(t.Context(), Job{Args: []string{"true"}}); !errors.Is(err, ErrDied) {
		t.Errorf("a later job: %v", err)
	}
	if err := s.Close(); !errors.Is(err, ErrDied) {
		t.Errorf("Close: %v", err)
	}
	if on, err := isSubreaper(); on || err != nil {
		t.Errorf("the runner is still a subreaper: %v, %v", on, err)
	}
}

// TestSupervisorIgnoresSignals: signals must not end the supervisor, because
// the runner decides when it ends.
func TestSupervisorIgnoresSignals(t *testing.T) {
	s := start(t, nil)
	for _, sig := range []syscall.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT} {
		if r, err := s.Run(t.Context(), Job{Args: []string{"true"}}); err != nil || r.ExitCode != 0 {
			t.Fatal(r, err)
		}
		unix.Kill(s.process.Process.Pid, sig)
		if r, err := s.Run(t.Context(), Job{Args: shell(fmt.Sprintf("kill -%d $$", sig))}); err != nil || r.Signal != sig {
			t.Errorf("after %v: result %+v, error %v; want that the job does not ignore it", sig, r, err)
		}
	}
}

// TestRun_Many: after 1,000 jobs, no file, process or goroutine of them may be
// left.
func TestRun_Many(t *testing.T) {
	s := start(t, nil)
	out := temp(t)
	var workers sync.WaitGroup
	run := func(n int) {
		for range 8 {
			workers.Go(func() {
				for range n / 8 {
					if r, err := s.Run(t.Context(), Job{Args: []string{"true"}, Stdout: out}); err != nil || r.ExitCode != 0 {
						t.Errorf("result %+v, error %v", r, err)
						return
					}
				}
			})
		}
		workers.Wait()
	}
	pid := s.process.Process.Pid
	run(8)
	before, own := openFiles(t, pid), openFiles(t, os.Getpid())
	run(1000)
	const perGroup = 2 // the number of open files for the control group of each worker
	waitFor(t, func() bool { return openFiles(t, pid) <= before+8*perGroup })
	if now := openFiles(t, os.Getpid()); now > own {
		t.Errorf("%d open files, before %d", now, own)
	}
	if left := childrenOf(pid); len(left) > 0 {
		t.Errorf("the supervisor has the children %v", left)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := unix.Kill(pid, 0); err != unix.ESRCH {
		t.Errorf("the supervisor after Close: %v", err)
	}
	waitFor(t, func() bool {
		var stacks bytes.Buffer
		pprof.Lookup("goroutine").WriteTo(&stacks, 1)
		return !strings.Contains(stacks.String(), "(*Supervisor)")
	})
}

func openFiles(t *testing.T, pid int) int {
	t.Helper()
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

func TestRun_PeakMemory(t *testing.T) {
	large := bytes.Repeat([]byte("a"), 200<<20) // the memory of the runner must not matter
	s := start(t, nil)
	runtime.KeepAlive(large)
	if r, err := s.Run(t.Context(), Job{Args: []string{"true"}}); err != nil || r.PeakMemory != 0 {
		t.Errorf("true: result %+v, error %v; want that it is unknown", r, err)
	}
	r, err := s.Run(t.Context(), Job{Args: shell("head -c 100000000 /dev/zero | tail -n 1 | cat >/dev/null")})
	if err != nil || r.PeakMemory < 90_000_000 || r.PeakMemory > 200_000_000 {
		t.Errorf("result %+v, error %v; want 100 MB", r, err)
	}
}

func TestRun_MemoryLimit(t *testing.T) {
	s := start(t, &Options{Memory: 50 << 20})
	if s.groups != nil && s.groups.Memory {
		r, err := s.Run(t.Context(), Job{Args: shell("tail -n 1 /dev/zero")})
		if err != nil || r.Signal != syscall.SIGKILL || !r.MemoryLimit {
			t.Errorf("result %+v, error %v; want SIGKILL and the limit", r, err)
		}
		if r, err := s.Run(t.Context(), Job{Args: shell("exit 3")}); err != nil || r.MemoryLimit {
			t.Errorf("a small job: result %+v, error %v", r, err)
		}
		return
	}
	out := temp(t)
	if r, err := s.Run(t.Context(), Job{Args: shell("ulimit -d"), Stdout: out}); err != nil || r.ExitCode != 0 || content(t, out) != "51200\n" {
		t.Errorf("result %+v, error %v, limit %q", r, err, content(t, out))
	}
	if r, err := s.Run(t.Context(), Job{Args: shell("exec tail -n 1 /dev/zero")}); err != nil || r.ExitCode != 1 || r.PeakMemory > 60<<20 {
		t.Errorf("result %+v, error %v; want exit code 1", r, err)
	}
}
