package choose

import "os/exec"

// ownGroup does nothing, because Windows has no process groups that can be
// stopped. Only the command itself is killed.
func ownGroup(*exec.Cmd) (kill func()) { return func() {} }

func killGroup(*exec.Cmd) {}
