package osproc

import (
	"errors"
	"os"
	"os/exec"
)

func setGroup(*exec.Cmd) {}

// KillGroup kills one process. It does not kill the processes that this
// process has started.
func KillGroup(p *os.Process) error {
	if err := p.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}
