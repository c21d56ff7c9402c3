//go:build !linux

package processes

import (
	"os"
	"path/filepath"
)

// directory is one by its name.
type directory struct{ path string }

// openDirectory names a directory; empty means the current one.
func openDirectory(name string) (directory, error) {
	path, err := filepath.Abs(name)
	return directory{path}, err
}

func (directory) close() {}

func currentMask() int { return -1 }

// schedule is empty: a worker has what this process has when it starts it.
type schedule struct{}

func currentSchedule() schedule { return schedule{} }

func (*schedule) give(*os.Process) {}

// limits is empty: a worker has the limits that this process has when it starts
// it.
type limits struct{}

func currentLimits() limits { return limits{} }

func (*limits) give(*os.Process) {}

// giveStack does nothing.
func (*limits) giveStack(*os.Process) {}
