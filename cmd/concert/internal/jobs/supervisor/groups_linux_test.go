package supervisor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// withGroups starts a supervisor that uses control groups.
func withGroups(t *testing.T, opts *Options) *Supervisor {
	t.Helper()
	s := start(t, opts)
	if s.groups == nil {
		t.Skip("this process cannot make control groups")
	}
	return s
}

// TestGroups_StrayEndsWithItsJob: a process without an environment, in another
// session, must end with its job, even while another job runs.
func TestGroups_StrayEndsWithItsJob(t *testing.T) {
	m, other := newMark(), newMark()
	s := withGroups(t, nil)
	running := waits(t, s, t.Context(), other.job("exec sleep MARK", nil))
	waitFor(t, other.sleeps)
	for _, d := range descendants {
		out := temp(t)
		script := d.script + fmt.Sprintf("\nwhile [ $(grep -c up %s) -lt %d ]; do sleep 0.01; done", out.Name(), d.count)
		r, err := s.Run(t.Context(), m.job(script, out))
		if err != nil || r.Orphans < d.count || r.Survivors != 0 {
			t.Errorf("%s: result %+v, error %v; want %d orphans", d.name, r, err, d.count)
		}
		if left := m.processes(); len(left) > 0 {
			t.Errorf("%s: processes are left: %q", d.name, left)
		}
	}
	if !other.sleeps() {
		t.Error("the other job was killed")
	}
	s.Close()
	<-running
}

// TestGroups_Sibling: a child that a command has made with CLONE_PARENT must
// be killed at the end of the job.
func TestGroups_Sibling(t *testing.T) {
	m := newMark()
	s := withGroups(t, nil)
	job := m.job("", nil)
	job.Args = []string{"/proc/self/exe"}
	job.Env = []string{siblingVariable + "=" + string(m)}
	if r, err := s.Run(t.Context(), job); err != nil || r.ExitCode != 0 || r.Survivors != 0 {
		t.Error(r, err)
	}
	if left := m.processes(); len(left) > 0 {
		t.Errorf("processes are left: %q", left)
	}
}

// TestGroups_SiblingOfCanceled: a child that was made with CLONE_PARENT must
// also be killed if the job is canceled, and the command ends before the end
// of the grace.
func TestGroups_SiblingOfCanceled(t *testing.T) {
	m := newMark()
	s := withGroups(t, &Options{Grace: 100 * time.Millisecond})
	job := m.job("", nil)
	job.Args = []string{"/proc/self/exe", "/bin/sleep", "1000"}
	job.Env = []string{siblingVariable + "=" + string(m)}
	ctx, cancel := context.WithCancel(t.Context())
	ended := waits(t, s, ctx, job)
	waitFor(t, m.sleeps)
	cancel()
	if err := <-ended; err != context.Canceled {
		t.Errorf("error %v", err)
	}
	if left := m.processes(); len(left) > 0 {
		t.Errorf("processes are left: %q", left)
	}
}

// TestGroups_UsedAgain: the number of groups must not exceed the number of
// jobs that run at the same time. Close must remove all groups.
func TestGroups_UsedAgain(t *testing.T) {
	s := withGroups(t, &Options{Slots: 2})
	var jobs sync.WaitGroup
	for range 4 {
		jobs.Go(func() {
			for range 25 {
				if r, err := s.Run(t.Context(), Job{Args: []string{"true"}}); err != nil || r.ExitCode != 0 {
					t.Errorf("result %+v, error %v", r, err)
				}
			}
		})
	}
	jobs.Wait()
	names, _ := filepath.Glob(s.groups.Dir + "/*/cgroup.procs")
	if len(names) == 0 || len(names) > 2 {
		t.Errorf("the groups are %q, want at most 2", names)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(s.groups.Dir); !os.IsNotExist(err) {
		t.Errorf("the directory of the groups: %v", err)
	}
}

// TestGroups_NotPossible: if no group can be made, commands must start without
// a group.
func TestGroups_NotPossible(t *testing.T) {
	s := withGroups(t, nil)
	if err := os.WriteFile(s.groups.Dir+"/cgroup.max.descendants", []byte("0"), 0); err != nil {
		t.Fatal(err)
	}
	out := temp(t)
	for range 2 {
		if r, err := s.Run(t.Context(), Job{Args: []string{"cat", "/proc/self/cgroup"}, Stdout: out}); err != nil || r.ExitCode != 0 {
			t.Errorf("result %+v, error %v", r, err)
		}
	}
	if text := content(t, out); strings.Contains(text, s.run) {
		t.Errorf("the groups of the jobs are %q", text)
	}
}

// TestGroups_KeeperEnds: after a kill of the runner, no keeper and no
// directory may be left.
func TestGroups_KeeperEnds(t *testing.T) {
	withGroups(t, nil)
	m := newMark()
	cmd := startRunner(t, m, 1, plainVariable+"=")
	dir := ""
	for _, job := range childrenOf(supervisorOf(cmd.Process.Pid)) {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", job))
		_, rest, _ := strings.Cut(string(text), jobVariable+"=")
		run, _, _ := strings.Cut(rest, ".")
		dirs, _ := filepath.Glob("/sys/fs/cgroup/*/concert-" + run + "-*")
		more, _ := filepath.Glob("/sys/fs/cgroup/concert-" + run + "-*")
		dir = strings.Join(append(dirs, more...), "")
	}
	if dir == "" {
		t.Skip("the directory of the groups is elsewhere")
	}
	unix.Kill(cmd.Process.Pid, unix.SIGKILL)
	m.wantNone(t)
	waitFor(t, func() bool { return !exists(dir) })
}
