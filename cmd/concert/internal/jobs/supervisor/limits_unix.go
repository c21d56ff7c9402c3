//go:build unix

package supervisor

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	defaultGrace = 5 * time.Second
	shellPath    = "/bin/sh"
)

// limitCommand returns the beginning of a command that sets limits and then
// executes the program that follows. It returns nil if there are no limits.
// The command is necessary because Go cannot set limits between fork and exec.
// After exec, they would be too late for a program that uses a lot of memory
// at once.
//
// If this process already has a lower limit, the command keeps the lower
// limit.
func limitCommand(memory int64, cpu time.Duration) []string {
	var script []string
	if memory > 0 {
		kib := lower((uint64(memory)+1023)/1024, syscall.RLIMIT_DATA, 1024)
		script = append(script, fmt.Sprintf("ulimit -d %d", kib))
	}
	if cpu > 0 {
		seconds := lower(cpuSeconds(cpu), syscall.RLIMIT_CPU, 1)
		// At the soft limit the kernel sends SIGXCPU, and at the hard limit
		// SIGKILL.
		script = append(script, fmt.Sprintf("ulimit -S -t %d", seconds))
		script = append(script, fmt.Sprintf("ulimit -H -t %d", lower(seconds+1, syscall.RLIMIT_CPU, 1)))
	}
	if script == nil {
		return nil
	}
	return []string{"sh", "-c", strings.Join(script, " && ") + ` && exec "$@"`, "sh"}
}

// cpuSeconds rounds a limit up to seconds.
func cpuSeconds(cpu time.Duration) uint64 { return uint64((cpu + time.Second - 1) / time.Second) }

// lower returns the given limit, or the hard limit of this process if that is
// lower.
func lower(limit uint64, resource int, unit uint64) uint64 {
	var now syscall.Rlimit
	if syscall.Getrlimit(resource, &now) != nil {
		return limit
	}
	return min(limit, uint64(now.Max)/unit)
}

// exceedsCPU reports whether the limit of processor time ended a job. A shell
// may have replaced the signal by an exit code. So it also reports true if the
// command failed and has used at least nine tenths of the limit. It is not the
// whole limit, because the kernel measures the time for the limit less exactly
// than the time in the result.
func (o *Options) exceedsCPU(r *Result) bool {
	if o.CPU <= 0 || r.ExitCode == 0 {
		return false
	}
	limit := time.Duration(cpuSeconds(o.CPU)) * time.Second
	return r.Signal == syscall.SIGXCPU || r.UserCPU+r.SystemCPU >= limit-limit/10
}

// executable returns the error number if a program cannot be executed, and
// otherwise 0. The check is needed because the shell that sets the limits
// reports the error on stderr only.
func executable(dir, path string) syscall.Errno {
	var stat unix.Stat_t
	if dir != "" {
		if err := unix.Stat(dir, &stat); err != nil {
			return err.(syscall.Errno)
		}
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
	}
	if err := unix.Access(path, unix.X_OK); err != nil {
		return err.(syscall.Errno)
	}
	if unix.Stat(path, &stat) == nil && stat.Mode&unix.S_IFMT == unix.S_IFDIR {
		return unix.EACCES
	}
	return 0
}
