package processes

import (
	"errors"
	"os"
	"os/exec"
)

func setAttributes(*exec.Cmd) {}

// killGroup kills a worker; what it started lives on.
func killGroup(p *os.Process) error {
	if err := p.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}
