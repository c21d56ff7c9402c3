//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// tool is a program that runs a command for each input.
type tool struct {
	name    string
	peer    bool // whether the tool is of another project
	version string
	ordered bool // whether the output is in the order of the inputs
	// command returns the command for a row. The inputs are the lines of its
	// standard input.
	command func(r row) *exec.Cmd
}

// tools returns the tools. The error names a missing tool.
func tools(concert, before string) ([]*tool, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	all := []*tool{{name: "concert map", ordered: true, version: firstLine(concert, "version"), command: concertMap(concert)}}
	if before != "" {
		all = append(all, &tool{name: "concert map before", ordered: true, version: firstLine(before, "version"), command: concertMap(before)})
	}
	for _, program := range []string{"xargs", "parallel", "parallel.moreutils"} {
		if _, err := exec.LookPath(program); err != nil {
			return nil, fmt.Errorf("%w; install Debian's packages parallel, moreutils and findutils", err)
		}
	}
	return append(all,
		&tool{name: "xargs -P", peer: true, version: firstLine("xargs", "--version"), command: xargs},
		&tool{name: "GNU parallel -k", peer: true, ordered: true, version: firstLine("parallel", "--version"), command: parallel("-k")},
		&tool{name: "GNU parallel -k --bar", peer: true, ordered: true, version: "the same, with progress", command: parallel("-k", "--bar")},
		&tool{name: "moreutils parallel", peer: true, version: "takes the inputs as arguments", command: moreutils},
		&tool{name: "a loop over os/exec", ordered: true, version: "Output of exec.Cmd, printed in order", command: func(r row) *exec.Cmd {
			return exec.Command(self, append([]string{plainFlag, strconv.Itoa(r.jobs)}, r.command...)...)
		}},
	), nil
}

func firstLine(program string, arg string) string {
	text, err := exec.Command(program, arg).Output()
	if err != nil {
		return err.Error()
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}

func concertMap(program string) func(row) *exec.Cmd {
	return func(r row) *exec.Cmd {
		return exec.Command(program, append([]string{"map", "-j", strconv.Itoa(r.jobs)}, r.command...)...)
	}
}

func xargs(r row) *exec.Cmd {
	return exec.Command("xargs", append([]string{"-d", "\n", "-n", "1", "-P", strconv.Itoa(r.jobs)}, r.command...)...)
}

// parallel returns the function that makes the command for GNU parallel. It
// quotes the words, because GNU parallel runs a shell.
func parallel(flags ...string) func(row) *exec.Cmd {
	return func(r row) *exec.Cmd {
		args := append(flags, "-q", "-j", strconv.Itoa(r.jobs))
		cmd := exec.Command("parallel", append(args, r.command...)...)
		cmd.Env = append(os.Environ(), "PARALLEL_HOME="+os.TempDir())
		return cmd
	}
}

// moreutils returns nil for rows whose inputs do not fit in a command line.
func moreutils(r row) *exec.Cmd {
	if r.inputs > 10_000 {
		return nil
	}
	args := append([]string{"-j", strconv.Itoa(r.jobs)}, r.command...)
	args = append(args, "--")
	return exec.Command("parallel.moreutils", append(args, strings.Fields(string(r.list()))...)...)
}
