package cgroup

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"concert/internal/filelock"
)

// A Tree has the groups of a run. The runner makes it.
type Tree struct {
	Dir    string // the directory of the groups of the jobs
	Memory bool   // whether the memory of a group can be limited

	base   string
	moved  bool     // this process is in its own group
	lock   *os.File // the directory; locked
	keeper *exec.Cmd
	alive  *os.File // the pipe to the keeper
}

const (
	prefix     = "concert-"
	selfSuffix = ".self"
)

// NewTree makes the groups of a run, and removes the groups of dead runs. The
// name of the run is random: it has 16 letters and digits of base32. The error
// says why this process cannot make groups.
func NewTree(run string, memory bool) (*Tree, error) {
	base, err := findBase()
	if err != nil {
		return nil, err
	}
	t := &Tree{base: base}
	if err := t.make(run); err != nil {
		return nil, err
	}
	if lock, lives := tryLock(t.Dir); lives { // locks work: the directory cannot be locked a second time
		t.removeDead()
	} else {
		lock.Close()
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
// does not permit the start, or if the group of this process was ever killed:
// see Group.Kill.
func (t *Tree) probe() error {
	groups := &Groups{dir: t.Dir, made: -1, most: 1} // made = -1 gives a name that the supervisor does not use
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

// self returns the directory of the group for this process alone.
func (t *Tree) self() string { return t.Dir + selfSuffix }

// make makes and locks the directory. Before it is locked, another run may take
// it for the directory of a dead run, and remove it. Then make tries another
// name.
func (t *Tree) make(run string) (err error) {
	for n := range 100 {
		t.Dir = filepath.Join(t.base, fmt.Sprintf("%s%s-%d", prefix, run, n))
		if err = os.Mkdir(t.Dir, 0o755); err != nil {
			return err
		}
		lock, lives := tryLock(t.Dir)
		if lives {
			err = fmt.Errorf("the new group %s cannot be opened, or another program has locked it", t.Dir)
			continue
		}
		if _, err = os.Stat(filepath.Join(t.Dir, "cgroup.kill")); err == nil {
			t.lock = lock
			return nil
		}
		lock.Close()
		if os.Remove(t.Dir) == nil {
			break // the directory was still there, so the kernel has no file cgroup.kill
		}
	}
	return fmt.Errorf("control groups cannot be killed: %w", err)
}

// tryLock locks the directory of a run. It reports whether the run lives, or
// may live. Then it returns nil.
func tryLock(dir string) (lock *os.File, lives bool) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, true
	}
	if filelock.LockUnlessTaken(f) {
		f.Close()
		return nil, true
	}
	return f, false
}

// removeDead kills and removes the groups of dead runs. It holds the lock of
// such a run, so that no new run can use the directory.
func (t *Tree) removeDead() {
	dirs, _ := filepath.Glob(filepath.Join(t.base, prefix+"*"))
	for _, dir := range dirs {
		name, isSelf := strings.CutSuffix(filepath.Base(dir), selfSuffix)
		if !isName(name) {
			continue // a group of another program
		}
		if isSelf {
			os.Remove(dir) // fails if the process in this group lives
			continue
		}
		if lock, lives := tryLock(dir); !lives {
			write(dir, "cgroup.kill", "1")
			remove(dir)
			lock.Close()
		}
	}
}

// isName reports whether NewTree makes directories with a name. In the root,
// other programs may have groups whose names are similar.
func isName(name string) bool { return namePattern.MatchString(name) }

var namePattern = regexp.MustCompile(`^concert-[a-z2-7]{16}-[0-9]+$`)

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

// keeperScript waits until no process has the other end of its standard input
// open. Then it kills the processes in the groups, and removes the groups. A
// group is not empty until its processes have ended. The keeper itself may be
// in the group BASE/concert-RUN-0.self.
const keeperScript = `read -r _
clean() {
	for d in "$1"/*/; do
		[ -d "$d" ] && clean "${d%/}"
	done
	rmdir "$1"
}
echo 1 >"$1/cgroup.kill"
n=0
while [ -d "$1" ] && [ $n -lt 100 ]; do
	clean "$1" || sleep 0.1
	n=$((n+1))
done
[ -d "$1.self" ] || exit 0
echo -memory >"${1%/*}/cgroup.subtree_control"
echo $$ >"${1%/*}/cgroup.procs"
rmdir "$1.self"`

// startKeeper starts the keeper. The keeper is in a separate session, so that
// a signal to the group of this process does not end it.
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

// Alive returns a file that the supervisor must have open. The keeper removes
// the groups when neither the supervisor nor this process has the file open.
func (t *Tree) Alive() *os.File { return t.alive }

// Kill kills all processes in the groups.
func (t *Tree) Kill() { write(t.Dir, "cgroup.kill", "1") }

// Close kills all processes in the groups, and removes the groups. The
// supervisor has ended.
func (t *Tree) Close() {
	t.Kill()
	remove(t.Dir)
	if t.alive != nil {
		t.alive.Close()
	}
	if t.keeper != nil {
		t.keeper.Wait() // the keeper removes the remaining groups when their processes have ended
	}
	if t.moved {
		moveBack(t.base, t.self())
	}
	t.lock.Close()
}
