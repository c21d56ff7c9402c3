package processes

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"concert/processes/internal/osproc"
)

// template is the program of all workers of a pool, and the settings with
// which they start. This process had these settings when New was called.
type template struct {
	program  string   // path of the program
	args     []string // as in exec.Cmd, so args[0] is the name of the program
	env      []string
	dir      osproc.Directory
	settings *osproc.Settings
	err      error // why the program was not found, or nil
}

// newTemplate returns the template of a pool of n workers.
func (o *Options) newTemplate(n int) (*template, error) {
	t := &template{settings: osproc.CurrentSettings(), env: slices.Clone(o.Env)}
	if o.Env == nil {
		t.env = os.Environ()
	}
	if o.Command == nil {
		if !slices.ContainsFunc(t.env, func(v string) bool { return strings.HasPrefix(v, "GOMAXPROCS=") }) {
			t.env = append(t.env, fmt.Sprint("GOMAXPROCS=", max(1, runtime.GOMAXPROCS(0)/n)))
		}
		if o.Memory > 0 {
			t.env = append(t.env, fmt.Sprint("GOMEMLIMIT=", (o.Memory-64<<20)*9/10)) // GOMEMLIMIT does not include reserved memory
		}
	}
	var err error
	if t.dir, err = osproc.OpenDirectory(o.Dir); err != nil {
		return nil, fmt.Errorf("processes: Options.Dir: %w", err)
	}
	if t.program, t.args, t.err = o.programOf(); t.err == nil && !filepath.IsAbs(t.program) {
		t.program, t.err = filepath.Abs(filepath.Join(o.Dir, t.program)) // as os/exec does
	}
	return t, nil
}

// programOf returns the program of the workers: the program of
// Options.Command, or this program if Command is not set.
func (o *Options) programOf() (path string, args []string, err error) {
	if o.Command != nil {
		cmd := exec.Command(o.Command[0], o.Command[1:]...)
		return cmd.Path, cmd.Args, cmd.Err
	}
	path, err = osproc.Executable()
	return path, append([]string{os.Args[0]}, ownArgs()...), err
}

// command returns a new process with this program and these settings. The
// caller must start the process.
func (t *template) command() (*exec.Cmd, error) {
	if t.err != nil {
		return nil, t.err
	}
	return &exec.Cmd{Path: t.program, Args: slices.Clone(t.args), Env: slices.Clone(t.env), Dir: t.dir.Path()}, nil
}
