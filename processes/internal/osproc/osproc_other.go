//go:build !linux

package osproc

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
)

// Executable returns the path of this program.
func Executable() (string, error) { return os.Executable() }

// BeginStarter does nothing.
func BeginStarter() {}

// Settings is empty: a worker gets the settings that this process has when the
// worker starts.
type Settings struct{}

// CurrentSettings returns the empty Settings.
func CurrentSettings() *Settings { return &Settings{} }

// Start starts a process. On Unix, the process gets its own process group.
func (*Settings) Start(cmd *exec.Cmd) error {
	setGroup(cmd)
	return cmd.Start()
}

// RestoreStackLimit does nothing.
func (*Settings) RestoreStackLimit(*os.Process) {}

// Directory is the path of a directory.
type Directory struct{ path string }

// OpenDirectory returns the Directory of a path. An empty path means the
// current directory.
func OpenDirectory(name string) (Directory, error) {
	path, err := filepath.Abs(name)
	return Directory{path}, err
}

// Path returns the path of the directory.
func (d Directory) Path() string { return d.path }

// Close does nothing.
func (Directory) Close() {}

// AwaitExit waits until a process has ended, and reaps it.
func AwaitExit(cmd *exec.Cmd) { cmd.Wait() }

// GrowPipe does nothing.
func GrowPipe(*os.File) {}

// IsExiting reports false.
func IsExiting(int) bool { return false }

// ThreadTimes returns nil.
func ThreadTimes(int) map[int]ThreadTime { return nil }

// CanLimitMemory says whether this system supports ResidentMemory and
// LimitMemory.
const CanLimitMemory = false

// ResidentMemory reports false.
func ResidentMemory(int) (int64, bool) { return 0, false }

// LimitMemory fails.
func LimitMemory(*os.Process, int64) error { return errors.ErrUnsupported }

// OOMCounter counts nothing, because this system does not report the
// processes that it has killed because memory was short.
type OOMCounter struct{}

// FindOOMCounter returns the OOMCounter.
func FindOOMCounter() OOMCounter { return OOMCounter{} }

// Count returns -1.
func (OOMCounter) Count() int { return -1 }
