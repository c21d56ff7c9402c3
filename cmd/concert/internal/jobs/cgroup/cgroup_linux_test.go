package cgroup

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"concert/internal/filelock"
)

func TestLocate(t *testing.T) {
	const unified = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
	const hybrid = "29 23 0:25 / /sys/fs/cgroup ro - tmpfs tmpfs ro\n30 29 0:26 / /sys/fs/cgroup/unified rw shared:1 - cgroup2 cgroup2 rw\n"
	for _, c := range []struct{ name, own, mounts, want string }{
		{"service", "0::/system.slice/a.service\n", unified, "/sys/fs/cgroup /system.slice/a.service"},
		{"root", "0::/\n", unified, "/sys/fs/cgroup /"},
		{"hybrid", "4:memory:/a\n1:name=systemd:/b\n0::/c\n", hybrid, "/sys/fs/cgroup/unified /c"},
		{"only version 1", "4:memory:/a\n", hybrid, "this system has no control groups of version 2"},
		{"container without a namespace", "0::/docker/1\n", "30 23 0:26 /docker/1 /sys/fs/cgroup ro - cgroup2 cgroup rw\n", "/sys/fs/cgroup /"},
		{"outside of the namespace", "0::/../other\n", unified, "no directory has the control group of this process"},
		{"not mounted", "0::/a\n", "", "no directory has the control group of this process"},
		{"space", "0::/a b\n", `30 23 0:26 / /mnt/c\040d rw - cgroup2 none rw` + "\n", "/mnt/c d /a b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			mount, path, err := locate(c.own, c.mounts)
			got := mount + " " + path
			if err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestNameIn(t *testing.T) {
	for text, want := range map[string]string{
		"0::/a/concert-run/3\n": "3", "1:memory:/concert-run/9\n0::/concert-run/12/inner\n": "12", "0::/concert-run/4 (deleted)\n": "4",
		"0::/concert-run\n": "", "0::/concert-run.self\n": "", "0::/concert-runs/3\n": "", "": "",
	} {
		if got := nameIn(text, "concert-run"); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// plain makes a directory with plain files in place of the files of a group.
// It is necessary because the kernel of a test machine may have no memory
// controller.
func plain(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func content(t *testing.T, dir, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestLimit: limit must write a memory limit to three files of the group.
func TestLimit(t *testing.T) {
	dir := plain(t, map[string]string{"memory.max": "max\n", "memory.swap.max": "max\n", "memory.oom.group": "0\n"})
	if err := limit(dir, 1<<20); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{"memory.max": "1048576", "memory.swap.max": "0", "memory.oom.group": "1"} {
		if got := content(t, dir, file); got != want {
			t.Errorf("%s has %q, want %q", file, got, want)
		}
	}
	noSwap := plain(t, map[string]string{"memory.max": "", "memory.oom.group": ""})
	if err := limit(noSwap, 1); err != nil {
		t.Errorf("without swap: %v", err)
	}
	if err := limit(t.TempDir(), 1); err == nil {
		t.Error("a group without the controller: no error")
	}
	if err := limit(t.TempDir(), 0); err != nil {
		t.Errorf("no limit: %v", err)
	}
}

// TestExceeded: only kills since the last call must count, because several
// jobs use a group one after the other.
func TestExceeded(t *testing.T) {
	dir := plain(t, nil)
	g := &Group{path: dir}
	for i, c := range []struct {
		kills int
		want  bool
	}{{0, false}, {2, true}, {2, false}, {3, true}} {
		text := fmt.Sprintf("low 0\nhigh 0\nmax 12\noom 1\noom_kill %d\noom_group_kill 1\n", c.kills)
		if err := os.WriteFile(filepath.Join(dir, "memory.events"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := g.Exceeded(); got != c.want {
			t.Errorf("call %d: %v, want %v", i, got, c.want)
		}
	}
	if (&Group{path: t.TempDir()}).Exceeded() {
		t.Error("without the file, the limit was exceeded")
	}
}

// TestEnableMemory: this process must move only if it is the only process in
// its group.
func TestEnableMemory(t *testing.T) {
	for _, c := range []struct {
		name, controllers, enabled string
		moved, ok                  bool
	}{
		{"no controller", "cpu pids", "", false, false},
		{"enabled", "cpu memory", "memory", false, true},
		{"root", "cpu memory", "", false, true}, // writing to the plain file succeeds, as in the root group
	} {
		t.Run(c.name, func(t *testing.T) {
			base := plain(t, map[string]string{"cgroup.controllers": c.controllers, "cgroup.subtree_control": c.enabled, "cgroup.procs": ""})
			if moved, ok := enableMemory(base, filepath.Join(base, "self")); moved != c.moved || ok != c.ok {
				t.Errorf("moved %v, ok %v", moved, ok)
			}
			want := c.enabled
			if c.name == "root" {
				want = "+memory"
			}
			if got := content(t, base, "cgroup.subtree_control"); got != want {
				t.Errorf("the enabled controllers are %q, want %q", got, want)
			}
		})
	}
}

func newTree(t *testing.T, run string) *Tree {
	t.Helper()
	tree, err := NewTree(run, false)
	if err != nil {
		t.Skip("this process cannot make control groups: ", err)
	}
	return tree
}

// startIn starts a process in a group of a tree.
func startIn(t *testing.T, tree *Tree) (*exec.Cmd, *Group, *Groups) {
	t.Helper()
	groups := Open(tree.Dir, 0)
	group, err := groups.Take()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(group.Dir.Fd())}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	return cmd, group, groups
}

func TestGroup_Kill(t *testing.T) {
	tree := newTree(t, "kill")
	defer tree.Close()
	cmd, group, groups := startIn(t, tree)
	if name := groups.Of(cmd.Process.Pid); name != group.Name || group.IsEmpty() {
		t.Errorf("the process is in the group %q, want %q; empty: %v", name, group.Name, group.IsEmpty())
	}
	group.Kill()
	if err := cmd.Wait(); err == nil || err.Error() != "signal: killed" {
		t.Errorf("the process ended with %v", err)
	}
	for deadline := time.Now().Add(time.Minute); !group.IsEmpty(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the group is not empty")
		}
	}
	groups.Put(group)
	other, err := groups.Take()
	if err != nil || other == group {
		t.Fatalf("a killed group is used again: %v", err)
	}
	groups.Put(other)
	if again, err := groups.Take(); again != other || err != nil {
		t.Errorf("an empty group is not used again: %v", err)
	}
}

// TestTree_Close kills processes, and removes the groups.
func TestTree_Close(t *testing.T) {
	tree := newTree(t, "close")
	cmd, _, _ := startIn(t, tree)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	tree.Close()
	if err := <-ended; err == nil || err.Error() != "signal: killed" {
		t.Errorf("the process ended with %v", err)
	}
	if _, err := os.Stat(tree.Dir); !os.IsNotExist(err) {
		t.Errorf("the directory: %v", err)
	}
}

// TestNewTree_RemovesDead: a dead run, whose keeper is dead, too, has left
// groups and processes. The next run must kill and remove them. It must not
// remove groups of runs that live.
func TestNewTree_RemovesDead(t *testing.T) {
	dead, lives := newTree(t, "deaddeaddeaddead"), newTree(t, "livelivelivelive")
	defer lives.Close()
	foreign := filepath.Join(lives.base, "concert-worker")
	if err := os.Mkdir(foreign, 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(foreign)
	killed, _, _ := startIn(t, dead)
	other, _, _ := startIn(t, lives)
	dead.keeper.Process.Kill()
	dead.keeper.Wait()
	filelock.Unlock(dead.lock) // as the kernel does when the process dies
	ended := make(chan error, 1)
	go func() { ended <- killed.Wait() }()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		newTree(t, "next").Close()
		if _, err := os.Stat(dead.Dir); os.IsNotExist(err) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the groups of the dead run are still there")
		}
	}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the process of the dead run ended with %v", err)
	}
	if _, err := os.Stat(foreign); err != nil {
		t.Errorf("the group of another program: %v", err)
	}
	if err := other.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the process of the run that lives: %v", err)
	}
	go other.Wait()
}

// TestRemoveDead_HoldsLock: while a run removes a directory, no other run may
// lock the directory. A named pipe in the directory makes the removal wait.
func TestRemoveDead_HoldsLock(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "concert-deaddeaddeaddead-0")
	pipe := filepath.Join(dir, "cgroup.kill")
	if err := errors.Join(os.Mkdir(dir, 0o755), syscall.Mkfifo(pipe, 0o600)); err != nil {
		t.Fatal(err)
	}
	goOn, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-goOn:
				return
			default: // again, because the test may have the lock
				(&Tree{base: base}).removeDead()
			}
		}
	}()
	deadline := time.Now().Add(time.Minute)
	for held := 0; held < 10; time.Sleep(time.Millisecond) {
		lock, lives := tryLock(dir)
		switch {
		case lives:
			held++
			continue
		case held > 0 || time.Now().After(deadline):
			t.Error("the lock is free while the directory is removed")
			held = 10
		}
		lock.Close()
	}
	f, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	close(goOn)
	<-done
}

// TestMake_NoKill: on a kernel without the file cgroup.kill, make must fail
// after one try.
func TestMake_NoKill(t *testing.T) {
	tree := &Tree{base: t.TempDir()}
	if err := tree.make("x"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	if got := filepath.Base(tree.Dir); got != "concert-x-0" {
		t.Errorf("the last directory was %s", got)
	}
	if left, err := os.ReadDir(tree.base); err != nil || len(left) > 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}

// TestGroups_NotUsedAgain: a job must not get a group that an earlier job has
// changed.
func TestGroups_NotUsedAgain(t *testing.T) {
	for name, change := range map[string]func(dir string) error{
		"groups in it": func(dir string) error { return os.MkdirAll(filepath.Join(dir, "a", ".b"), 0o755) },
		"frozen":       func(dir string) error { return write(dir, "cgroup.freeze", "1") },
	} {
		t.Run(name, func(t *testing.T) {
			tree := newTree(t, "again")
			groups := Open(tree.Dir, 0)
			group, err := groups.Take()
			if err == nil {
				err = change(group.path)
			}
			if err != nil {
				t.Fatal(err)
			}
			groups.Put(group)
			if other, err := groups.Take(); err != nil || other == group {
				t.Errorf("the group is used again: %v", err)
			}
			tree.Close()
			if _, err := os.Stat(tree.Dir); !os.IsNotExist(err) {
				t.Errorf("the directory: %v", err)
			}
		})
	}
}

// TestGroups_LeaveFiles: Take must return an error if more groups would leave
// too few files for the jobs.
func TestGroups_LeaveFiles(t *testing.T) {
	tree := newTree(t, "files")
	defer tree.Close()
	groups := Open(tree.Dir, 0)
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	if groups.most < 1 || filesOfGroup*uint64(groups.most)+otherFiles > files.Cur {
		t.Errorf("at most %d groups, and %d files", groups.most, files.Cur)
	}
	groups.most = 1
	for range 2 {
		group, err := groups.Take()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := groups.Take(); err != errFiles {
			t.Errorf("error %v", err)
		}
		group.killed = true // then the group is not used again
		groups.Put(group)
	}
}

// TestKeeper: the keeper must remove groups that jobs have made, and its own
// group.
func TestKeeper(t *testing.T) {
	tree := newTree(t, "keeper")
	defer tree.Close()
	if err := os.MkdirAll(filepath.Join(tree.Dir, "1", "a b", "-c"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(tree.self(), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := write(tree.self(), "cgroup.procs", fmt.Sprint(tree.keeper.Process.Pid)); err != nil {
		t.Fatal(err)
	}
	tree.alive.Close()
	if err := tree.keeper.Wait(); err != nil {
		t.Error(err)
	}
	for _, dir := range []string{tree.Dir, tree.self()} {
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("the directory: %v", err)
		}
	}
}
