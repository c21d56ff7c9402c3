package processes

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// directory is one that is open, so that it stays the same under whatever name.
type directory struct {
	file *os.File
	path string // for os/exec
}

// openDirectory opens a directory; empty means the current one.
func openDirectory(name string) (directory, error) {
	if name == "" {
		name = "."
	}
	fd, err := unix.Open(name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return directory{}, &os.PathError{Op: "open", Path: name, Err: err}
	}
	// A process that is about to become another program still has it.
	return directory{os.NewFile(uintptr(fd), name), fmt.Sprint("/proc/self/fd/", fd)}, nil
}

func (d directory) close() { d.file.Close() }

// currentMask returns the mask for the modes of new files, which cannot be read
// by a system call that does not set it; -1 if it is unknown.
func currentMask() int {
	f, err := os.Open("/proc/thread-self/status") // /proc/self is the first thread, which may be the one that starts workers
	if err != nil {
		return -1
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), "Umask:"); ok {
			if mask, err := strconv.ParseInt(strings.TrimSpace(text), 8, 32); err == nil {
				return int(mask)
			}
		}
	}
	return -1
}

// limits are those of resources that this process has.
type limits [unix.RLIMIT_RTTIME + 1]unix.Rlimit

func currentLimits() (l limits) {
	for what := range l {
		unix.Getrlimit(what, &l[what]) // or it is not known, then and later
	}
	return l
}

// give gives a process, which has the limits of this one, those limits, where
// they differ and the system lets it.
func (l *limits) give(p *os.Process) {
	now := currentLimits()
	for what := range l {
		if l[what] != now[what] {
			unix.Prlimit(p.Pid, what, &l[what], nil)
		}
	}
}

// giveStack gives a process that runs the limit of its stack again. The kernel
// sets that limit at the end of exec to what it was at the beginning, which can
// be after the call of give.
func (l *limits) giveStack(p *os.Process) {
	var now unix.Rlimit
	if unix.Prlimit(p.Pid, unix.RLIMIT_STACK, nil, &now) == nil && now != l[unix.RLIMIT_STACK] {
		unix.Prlimit(p.Pid, unix.RLIMIT_STACK, &l[unix.RLIMIT_STACK], nil)
	}
}
