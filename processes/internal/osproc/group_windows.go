package osproc

import (
	"errors"
	"os"
	"os/exec"
)

func setGroup(*exec.Cmd) {}

// KillGroup kills a process. It does not kill the processes that it has
// started.
func KillGroup(p *os.Process) error {
	if err := p.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}
