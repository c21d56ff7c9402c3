//go:build !linux

package processes

import (
	"errors"
	"os"
	"os/exec"
)

// image is this program; empty stands for its path.
const image = ""

func beginStarter() {}

func start(cmd *exec.Cmd, _ *surroundings) error { return cmd.Start() }

// awaitExit waits until a process has ended.
func awaitExit(cmd *exec.Cmd) { cmd.Wait() }

func widen(*os.File) {}

func isExiting(int) bool { return false }

func threadTimes(int) map[int]threadTime { return nil }

func resident(int) (int64, bool) { return 0, false }

// canBound says that boundMemory and resident can.
const canBound = false

func boundMemory(*os.Process, int64) error { return errors.ErrUnsupported }
