package supervisor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A mark is a number of seconds, which is different in each test. Commands of
// a test sleep for this time, so the test finds their processes by their
// arguments.
type mark string

func newMark() mark { return mark(strconv.FormatInt(1e9+time.Now().UnixNano()%1e9, 10)) }

// job returns a job that runs a script, in which MARK is the mark.
func (m mark) job(script string, out *os.File) Job {
	return Job{Args: shell(strings.ReplaceAll(script, "MARK", string(m))), Stdout: out, Stderr: os.Stderr}
}

// processes returns the processes whose command line or environment contains
// the mark.
func (m mark) processes() (found []string) {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		if dir == fmt.Sprintf("/proc/%d", os.Getpid()) {
			continue
		}
		line, _ := os.ReadFile(dir + "/cmdline")
		env, _ := os.ReadFile(dir + "/environ")
		if bytes.Contains(line, []byte(m)) || bytes.Contains(env, []byte(m)) {
			found = append(found, fmt.Sprintf("%s: %q", dir, line))
		}
	}
	return found
}

// sleeps reports whether a process sleeps for the time of the mark.
func (m mark) sleeps() bool {
	return slices.ContainsFunc(m.processes(), func(p string) bool { return strings.HasSuffix(p, fmt.Sprintf("%q", "sleep\x00"+m+"\x00")) })
}

// wantNone waits until the processes with the mark have ended.
func (m mark) wantNone(t *testing.T) {
	t.Helper()
	var left []string
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if left = m.processes(); len(left) == 0 {
			return
		}
	}
	t.Fatalf("processes are left: %q", left)
}

// descendants are scripts that leave processes. A script writes a line "up"
// for each process that it leaves.
var descendants = []struct {
	name, script string
	count        int
	stray        bool // nothing shows to which job the process belongs
}{
	{"background", `(echo up; exec sleep MARK) &`, 1, false},
	{"session", `setsid sh -c 'echo up; exec sleep MARK' &`, 1, false},
	{"session, at once", `setsid sleep MARK & echo up`, 1, false},
	{"daemon", `(setsid sh -c '(setsid sh -c "echo up; exec sleep MARK" &)' &)`, 1, false},
	{"tree", `setsid sh -c 'for i in 1 2 3; do setsid sh -c "echo up; sleep MARK; :" & done; sleep MARK; :' & `, 3, false},
	{"no environment in the group", `env -i sh -c 'echo up; exec sleep MARK' &`, 1, false},
	{"no environment", `env -i setsid sh -c 'echo up; exec sleep MARK' &`, 1, true},
	{"other environment", `env -i A=b setsid sh -c 'echo up; exec sleep MARK' &`, 1, true},
	{"ignores signals", `trap '' TERM HUP INT; setsid sh -c 'echo up; exec sleep MARK' &`, 1, false},
}

// TestRun_KillsDescendants: when Run returns, no descendant may be left.
func TestRun_KillsDescendants(t *testing.T) {
	for _, d := range descendants {
		for _, wait := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, wait %v", d.name, wait), func(t *testing.T) {
				m := newMark()
				s := start(t, nil)
				out := temp(t)
				script := d.script
				if wait { // wait until the descendants have started
					script += fmt.Sprintf("\nwhile [ $(grep -c up %s) -lt %d ]; do sleep 0.01; done", out.Name(), d.count)
				}
				r, err := s.Run(t.Context(), m.job(script, out))
				if err != nil || r.ExitCode != 0 || r.Survivors != 0 {
					t.Errorf("result %+v, error %v", r, err)
				}
				if wait && r.Orphans < d.count && !d.stray {
					t.Errorf("%d orphans, want at least %d", r.Orphans, d.count)
				}
				if left := m.processes(); len(left) > 0 {
					t.Errorf("processes are left: %q", left)
				}
			})
		}
	}
}

func TestRun_Environment(t *testing.T) {
	t.Setenv("CONCERT_TEST_REPLACED", "outer")
	t.Setenv(jobVariable, "outer.5")
	s := start(t, nil)
	for number, added := range [][]string{nil, {"CONCERT_TEST_REPLACED=job", jobVariable + "=job"}} {
		out := temp(t)
		if r, err := s.Run(t.Context(), Job{Args: []string{"env"}, Env: added, Stdout: out}); err != nil || r.ExitCode != 0 {
			t.Fatal(r, err)
		}
		want := []string{fmt.Sprintf("%s=outer.5/%s.%d", jobVariable, s.run, number+1), "CONCERT_TEST_REPLACED=outer"}
		if added != nil {
			want[1] = added[0]
		}
		var got []string
		for line := range strings.Lines(content(t, out)) {
			if strings.HasPrefix(line, "CONCERT_") {
				got = append(got, strings.TrimSpace(line))
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("variables %q, want %q", got, want)
		}
	}
}

// TestRun_KeepsDaemonOfRunningJob: the end of a job must not kill the daemon
// of another job.
func TestRun_KeepsDaemonOfRunningJob(t *testing.T) {
	m := newMark()
	s := start(t, nil)
	out := temp(t)
	ended := make(chan Result, 1)
	go func() {
		r, err := s.Run(t.Context(), m.job("(setsid sh -c 'echo up; exec sleep MARK' &)\n: MARK; while [ ! -e "+out.Name()+".end ]; do sleep 0.01; done", out))
		if err != nil {
			t.Error(err)
		}
		ended <- r
	}()
	waitFor(t, func() bool { return content(t, out) == "up\n" && m.sleeps() })
	for range 10 {
		if r, err := s.Run(t.Context(), Job{Args: shell("(exec sleep 1000) &")}); err != nil || r.Survivors != 0 {
			t.Errorf("result %+v, error %v", r, err)
		}
	}
	if !m.sleeps() {
		t.Error("the daemon was killed")
	}
	os.WriteFile(out.Name()+".end", nil, 0o600)
	if r := <-ended; r.Orphans != 1 || r.Survivors != 0 {
		t.Errorf("result %+v, want one orphan", r)
	}
	if left := m.processes(); len(left) > 0 {
		t.Errorf("processes are left: %q", left)
	}
}

// TestRun_ExecutingOrphan: an orphan has no environment while it executes a
// program. The end of its job must wait until the orphan has an environment,
// although another job is running.
func TestRun_ExecutingOrphan(t *testing.T) {
	m := newMark()
	s := start(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := s.Run(ctx, Job{Args: []string{"sleep", "1000"}})
		ended <- err
	}()
	for range 30 {
		if r, err := s.Run(t.Context(), m.job("setsid setsid setsid sleep MARK &", nil)); err != nil || r.Survivors != 0 {
			t.Errorf("result %+v, error %v", r, err)
		}
		if left := m.processes(); len(left) > 0 {
			t.Errorf("processes are left: %q", left)
		}
	}
	cancel()
	if err := <-ended; err != context.Canceled {
		t.Error(err)
	}
}

// TestRun_ChildOfOrphan: the child of an orphan must end with the job of the
// orphan, even if nothing else shows that it belongs to this job.
func TestRun_ChildOfOrphan(t *testing.T) {
	m := newMark()
	s := start(t, nil)
	out := temp(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	other := temp(t)
	go s.Run(ctx, Job{Args: shell("echo up; exec sleep 1000"), Stdout: other})
	waitFor(t, func() bool { return content(t, other) != "" })
	r, err := s.Run(t.Context(), m.job(`(setsid sh -c 'env -i setsid sh -c "echo up; exec sleep MARK" & wait' &)
		while [ ! -s `+out.Name()+` ]; do sleep 0.01; done`, out))
	if err != nil || r.Orphans != 2 || r.Survivors != 0 {
		t.Errorf("result %+v, error %v; want 2 orphans", r, err)
	}
	if left := m.processes(); len(left) > 0 {
		t.Errorf("processes are left: %q", left)
	}
}

// waitFor waits until a condition holds.
func waitFor(t testing.TB, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the condition does not hold")
		}
	}
}

// TestRun_Concurrently: jobs that leave processes run at the same time, and
// some of them are canceled. When the last job has ended, no process may be
// left.
func TestRun_Concurrently(t *testing.T) {
	m := newMark()
	s := start(t, &Options{Grace: time.Millisecond})
	var jobs sync.WaitGroup
	for worker := range 4 {
		jobs.Go(func() {
			for i, d := range descendants {
				script, ctx, cancel := d.script, t.Context(), context.CancelFunc(func() {})
				if (worker+i)%2 == 0 {
					script = forever(script)
					ctx, cancel = context.WithTimeout(ctx, time.Duration(i*worker)*time.Millisecond)
				}
				_, err := s.Run(ctx, m.job(script, nil))
				cancel()
				if err != nil && !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
			}
		})
	}
	jobs.Wait()
	if left := m.processes(); len(left) > 0 {
		t.Errorf("processes are left: %q", left)
	}
}

// TestChildrenOf: without the list of children of the kernel, childrenOf must
// return the same children.
func TestChildrenOf(t *testing.T) {
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	if got := childrenOf(os.Getpid()); !slices.Contains(got, cmd.Process.Pid) {
		t.Errorf("children %v, want %d in it", got, cmd.Process.Pid)
	}
	if got := childrenOf(cmd.Process.Pid); len(got) > 0 {
		t.Errorf("children %v of a process without any", got)
	}
}

func TestJobNumber(t *testing.T) {
	for value, want := range map[string]uint64{"run.7": 7, "outer.3/run.12": 12, "run.12/inner.4": 12, "runs.7": 0, "run.": 0, "run": 0, "": 0, "run.-1": 0, "run.99999999999999999999": 0} {
		if got := jobNumber([]byte(value), "run"); got != want {
			t.Errorf("%q: job %d, want %d", value, got, want)
		}
	}
}

// TestRun_CancelAtStart: a cancel message may overtake the start of its job.
// The job must be canceled nevertheless.
func TestRun_CancelAtStart(t *testing.T) {
	s := start(t, nil)
	var jobs sync.WaitGroup
	for range 8 {
		jobs.Go(func() {
			for i := range 25 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*20*time.Microsecond)
				if _, err := s.Run(ctx, Job{Args: []string{"sleep", "1000"}}); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("error %v", err)
				}
				cancel()
			}
		})
	}
	jobs.Wait()
	unknown := jobMessage{kindCancel, 1 << 40}
	if _, err := s.conn.Write(unknown.append(nil)); err != nil {
		t.Error(err)
	}
	if r, err := s.Run(t.Context(), Job{Args: []string{"true"}}); err != nil || r.ExitCode != 0 {
		t.Errorf("result %+v, error %v", r, err)
	}
}

// TestRun_GraceOfDescendants: a shell dies of SIGTERM at once. Its children,
// in any process group, must have the grace to clean up. After the grace, they
// must be killed.
func TestRun_GraceOfDescendants(t *testing.T) {
	const child = `sh -c 'trap "sleep 0.2; echo down; exit" TERM; echo up; while :; do sleep 0.01; done; : MARK'; :`
	for _, c := range []struct {
		name, script string
		grace        time.Duration
		output       string
	}{
		{"same group", child, time.Hour, "up\ndown\n"},
		{"other session", "setsid -w " + child, time.Hour, "up\ndown\n"},
		{"daemon", "setsid " + child + " & exec sleep MARK", time.Hour, "up\ndown\n"},
		{"ignores SIGTERM", `sh -c 'trap "" TERM; echo up; exec sleep MARK'; :`, 50 * time.Millisecond, "up\n"},
		{"other session ignores SIGTERM", `setsid -w sh -c 'trap "" TERM; echo up; exec sleep MARK'; :`, 50 * time.Millisecond, "up\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := newMark()
			s := start(t, &Options{Grace: c.grace})
			out := temp(t)
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				for content(t, out) == "" {
					time.Sleep(time.Millisecond)
				}
				cancel()
			}()
			r, err := s.Run(ctx, m.job(c.script, out))
			if err != context.Canceled || r.Signal != syscall.SIGTERM || r.Survivors != 0 {
				t.Errorf("result %+v, error %v; want SIGTERM", r, err)
			}
			if got := content(t, out); got != c.output {
				t.Errorf("output %q, want %q", got, c.output)
			}
			if left := m.processes(); len(left) > 0 {
				t.Errorf("processes are left: %q", left)
			}
		})
	}
}
