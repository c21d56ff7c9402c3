package cgroup

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"concert/internal/filelock"
)

// A Tree has the groups of a run. The runner makes it.
type Tree struct {
	Dir    string // of the groups of the jobs
	Memory bool   // whether the memory of a group can be limited

	base   string
	moved  bool     // this process is in its own group
	lock   *os.File // the directory; locked
	keeper *exec.Cmd
	alive  *os.File // the pipe to the keeper
}

const prefix = "concert-"

// NewTree makes the groups of a run, after it has removed those of dead runs.
// The error says why this process cannot make any.
func NewTree(run string, memory bool) (*Tree, error) {
	base, err := findBase()
	if err != nil {
		return nil, err
	}
	t := &Tree{Dir: filepath.Join(base, prefix+run), base: base}
	if err := t.make(); err != nil {
		return nil, err
	}
	if t.isLocked(t.Dir) { // otherwise there are no locks
		t.removeDead()
	}
	if memory {
		if t.moved, t.Memory = enableMemory(base, t.self()); t.Memory {
			t.Memory = write(t.Dir, "cgroup.subtree_control", "+memory") == nil
		}
	}
	err = t.startKeeper()
	if err == nil {
		err = t.probe()
	}
	if err != nil {
		t.Close()
		return nil, fmt.Errorf("start a process in a control group: %w", err)
	}
	return t, nil
}

// probe starts a process in a group. This fails if a filter of system calls
// does not permit it, and if the group of this process was ever killed: see
// Group.Kill.
func (t *Tree) probe() error {
	groups := &Groups{dir: t.Dir, made: -1} // not a name that the supervisor uses
	group, err := groups.Take()
	if err != nil {
		return err
	}
	cmd := exec.Command("/bin/sh", "-c", ":")
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(group.Dir.Fd())}
	err = cmd.Run()
	group.killed = true // so Put removes it
	groups.Put(group)
	return err
}

// self returns the group of this process, if it has one of its own.
func (t *Tree) self() string { return t.Dir + ".self" }

// make makes and locks the directory. Another run may lock and remove it in
// between, because its lock was free.
func (t *Tree) make() (err error) {
	for range 100 {
		if err = os.Mkdir(t.Dir, 0o755); err != nil {
			return err
		}
		if t.lock, err = os.Open(t.Dir); err != nil {
			continue
		}
		taken := filelock.TryLock(t.lock)
		if _, err = os.Stat(filepath.Join(t.Dir, "cgroup.kill")); err == nil && !taken {
			return nil
		}
		t.lock.Close()
		os.Remove(t.Dir)
	}
	return fmt.Errorf("control groups cannot be killed: %w", err)
}

// isLocked reports whether the run of a directory lives.
func (t *Tree) isLocked(dir string) bool {
	f, err := os.Open(dir)
	if err != nil {
		return true
	}
	defer f.Close()
	return filelock.TryLock(f)
}

// removeDead removes the groups of dead runs.
func (t *Tree) removeDead() {
	dirs, _ := filepath.Glob(filepath.Join(t.base, prefix+"*"))
	for _, dir := range dirs {
		switch {
		case strings.HasSuffix(dir, ".self"):
			os.Remove(dir) // fails if its process lives
		case !t.isLocked(dir):
			write(dir, "cgroup.kill", "1")
			remove(dir)
		}
	}
}

// remove removes a group and the groups below it, if they have no processes.
func remove(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if e.IsDir() {
			remove(filepath.Join(dir, e.Name()))
		}
	}
	os.Remove(dir)
}

// keeperScript kills and removes the groups when no process has the other end
// of its standard input. A group is not empty until its processes have ended.
const keeperScript = `read -r _
echo 1 >"$1/cgroup.kill"
n=0
while [ -d "$1" ] && [ $n -lt 100 ]; do
	rmdir "$1"/*/ "$1" || sleep 0.1
	n=$((n+1))
done
rmdir "$1.self"`

// startKeeper starts the keeper. It is in a session of its own, so that a
// signal to the group of this process does not end it.
func (t *Tree) startKeeper() error {
	in, out, err := os.Pipe()
	if err != nil {
		return err
	}
	defer in.Close()
	t.alive = out
	t.keeper = exec.Command("/bin/sh", "-c", keeperScript, "concert-keeper", t.Dir)
	t.keeper.Stdin = in
	t.keeper.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := t.keeper.Start(); err != nil {
		t.keeper = nil
		return err
	}
	return nil
}

// Alive returns a file that the supervisor must have open. When neither it nor
// this process has the file, the keeper removes the groups.
func (t *Tree) Alive() *os.File { return t.alive }

// Kill kills all processes in the groups.
func (t *Tree) Kill() { write(t.Dir, "cgroup.kill", "1") }

// Close kills all processes in the groups, and removes the groups. The
// supervisor has ended.
func (t *Tree) Close() {
	if t.alive != nil {
		t.alive.Close()
	}
	if t.keeper != nil {
		t.keeper.Wait()
	} else {
		t.Kill()
		remove(t.Dir)
	}
	if t.moved {
		moveBack(t.base, t.self())
	}
	t.lock.Close()
}
