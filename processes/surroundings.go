package processes

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// surroundings are what all workers of a pool start with, whenever that is:
// what this process had when the pool was made, whatever it changes later.
type surroundings struct {
	program string   // a path
	args    []string // args[0] included
	env     []string
	dir     directory
	mask    int // of the modes of new files; negative if unknown
	limits  limits
	times   schedule
	err     error // why the program was not found
}

// surround returns what workers are to start with. n is their number.
func (o *Options) surround(n int) (*surroundings, error) {
	s := &surroundings{mask: currentMask(), limits: currentLimits(), times: currentSchedule(), env: slices.Clone(o.Env)}
	if o.Env == nil {
		s.env = os.Environ()
	}
	if o.Command == nil {
		if !slices.ContainsFunc(s.env, func(v string) bool { return strings.HasPrefix(v, "GOMAXPROCS=") }) {
			s.env = append(s.env, fmt.Sprint("GOMAXPROCS=", max(1, runtime.GOMAXPROCS(0)/n)))
		}
		if o.Memory > 0 {
			s.env = append(s.env, fmt.Sprint("GOMEMLIMIT=", (o.Memory-64<<20)*9/10)) // it does not count what is reserved
		}
	}
	var err error
	if s.dir, err = openDirectory(o.Dir); err != nil {
		return nil, fmt.Errorf("processes: Options.Dir: %w", err)
	}
	if s.program, s.args, s.err = o.programOf(); s.err == nil && !filepath.IsAbs(s.program) {
		s.program, s.err = filepath.Abs(filepath.Join(o.Dir, s.program)) // as os/exec has it
	}
	return s, nil
}

// programOf returns what workers run: this program, or another one.
func (o *Options) programOf() (path string, args []string, err error) {
	if o.Command != nil {
		cmd := exec.Command(o.Command[0], o.Command[1:]...)
		return cmd.Path, cmd.Args, cmd.Err
	}
	if path = image; path == "" {
		path, err = os.Executable()
	}
	return path, append([]string{os.Args[0]}, ownArgs()...), err
}

// command returns a process that has the surroundings, and is not started.
func (s *surroundings) command() (*exec.Cmd, error) {
	if s.err != nil {
		return nil, s.err
	}
	return &exec.Cmd{Path: s.program, Args: slices.Clone(s.args), Env: slices.Clone(s.env), Dir: s.dir.path}, nil
}
