package cgroup

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Groups are the groups of the jobs of a run. The supervisor uses them. Its
// methods must not be called concurrently.
type Groups struct {
	dir    string // Tree.Dir
	memory int64  // limit of each group in bytes; 0: none
	free   []*Group
	made   int
	open   int // the number of groups with open files
	most   int // the maximum of open
}

// Open returns the groups in the directory of a Tree.
func Open(dir string, memory int64) *Groups {
	var files unix.Rlimit
	unix.Getrlimit(unix.RLIMIT_NOFILE, &files)
	return &Groups{dir: dir, memory: memory, most: int(min(files.Cur, math.MaxInt32)-min(files.Cur, otherFiles)) / filesOfGroup}
}

const (
	filesOfGroup = 2
	otherFiles   = 100 // files that the supervisor needs for the jobs and for itself
)

// errFiles is the error of Take if groups would need too many files.
var errFiles = errors.New("too many open files for one more control group (ulimit -n)")

// A Group has the processes of one job.
type Group struct {
	Name   string
	Dir    *os.File // SysProcAttr.CgroupFD
	events *os.File // cgroup.events
	path   string
	oom    int  // the number of processes that the memory limit killed, in all jobs of the group
	killed bool // no process can start in the group: see Kill
}

// Take returns a group without processes.
func (g *Groups) Take() (*Group, error) {
	if n := len(g.free); n > 0 {
		group := g.free[n-1]
		g.free = g.free[:n-1]
		return group, nil
	}
	if g.open >= g.most {
		return nil, errFiles
	}
	g.made++
	group := &Group{Name: fmt.Sprint(g.made)}
	group.path = filepath.Join(g.dir, group.Name)
	if err := os.Mkdir(group.path, 0o755); err != nil {
		return nil, err
	}
	err := limit(group.path, g.memory)
	if err == nil {
		group.Dir, err = os.Open(group.path)
	}
	if err == nil {
		if group.events, err = os.Open(filepath.Join(group.path, "cgroup.events")); err != nil {
			group.Dir.Close()
		}
	}
	if err != nil {
		os.Remove(group.path)
		return nil, err
	}
	g.open++
	return group, nil
}

// limit sets the memory limit of a group. If the processes need more, all
// processes of the group are killed. The file for swap is missing if the
// system has no swap.
func limit(dir string, memory int64) error {
	if memory == 0 {
		return nil
	}
	if err := write(dir, "memory.max", fmt.Sprint(memory)); err != nil {
		return err
	}
	write(dir, "memory.swap.max", "0")
	return write(dir, "memory.oom.group", "1")
}

// Put takes a group back. Another job gets it if a process can start and run in
// it.
func (g *Groups) Put(group *Group) {
	if group.isUsable() {
		g.free = append(g.free, group)
		return
	}
	g.open--
	group.Dir.Close()
	group.events.Close()
	remove(group.path)
}

// Of returns the name of the group of a process, or "" if the process is in
// none of these groups.
func (g *Groups) Of(pid int) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	return nameIn(string(text), filepath.Base(g.dir))
}

// nameIn returns the name of a group in the content of a file in /proc.
func nameIn(text, run string) string {
	_, path, _ := strings.Cut(text, "0::")
	path, _, _ = strings.Cut(path, "\n")
	_, rest, _ := strings.Cut(path, "/"+run+"/")
	name, _, _ := strings.Cut(rest, "/")
	name, _, _ = strings.Cut(name, " ") // removes " (deleted)", which follows the name of a removed group
	return name
}

// Kill kills all processes in the groups.
func (g *Groups) Kill() { write(g.dir, "cgroup.kill", "1") }

// Kill kills all processes of the group. The group cannot be used again: Linux
// 6.14 and later kill each process that is started from outside in a group
// that was killed.
func (group *Group) Kill() {
	group.killed = true
	write(group.path, "cgroup.kill", "1")
}

// IsEmpty reports whether the group has no processes.
func (group *Group) IsEmpty() bool { return !strings.Contains(group.state(), "populated 1") }

// state returns the content of cgroup.events. A group that was removed has
// none.
func (group *Group) state() string {
	var buf [256]byte
	n, _ := group.events.ReadAt(buf[:], 0)
	return string(buf[:n])
}

// isUsable reports whether a process can start and run in the group. The job
// may have frozen the group, or may have made groups in it. Such groups may
// have controllers, which permit no process in the group above.
func (group *Group) isUsable() bool {
	state := group.state()
	var stat unix.Stat_t
	err := unix.Fstat(int(group.Dir.Fd()), &stat)
	return !group.killed && strings.Contains(state, "populated 0") && !strings.Contains(state, "frozen 1") &&
		err == nil && stat.Nlink == linksOfLeaf
}

// linksOfLeaf is the number of links of a directory without directories.
const linksOfLeaf = 2

// Exceeded reports whether the memory limit has killed a process since the last
// call.
func (group *Group) Exceeded() bool {
	text, _ := os.ReadFile(filepath.Join(group.path, "memory.events"))
	_, rest, _ := strings.Cut(string(text), "\noom_kill ")
	n := 0
	fmt.Sscan(rest, &n)
	before := group.oom
	group.oom = n
	return n > before
}
