package confine

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"unsafe"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"github.com/landlock-lsm/go-landlock/landlock"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/psx"
)

// minLandlock is the first version of Landlock that covers the truncation of
// files.
const minLandlock = 3

// supported returns an error if this system cannot confine processes.
func supported() error {
	if v, err := ll.LandlockGetABIVersion(); err != nil {
		return fmt.Errorf("this system has no Landlock (%w)", err)
	} else if v < minLandlock {
		return fmt.Errorf("this system has version %d of Landlock; version %d (Linux 6.2) is needed", v, minLandlock)
	}
	if !seccomp.Supported() {
		return errors.New("this system has no seccomp")
	}
	if _, err := arch.GetInfo(""); err != nil {
		return fmt.Errorf("there is no table of the system calls of %s", runtime.GOARCH)
	}
	return nil
}

// Apply confines this process, permanently. The steps are:
//
//  1. Drop all capabilities except those over files. Otherwise a worker of
//     root could read the files of all processes in /proc.
//  2. Apply seccomp, and check in /proc that it applies to all threads. After
//     step 3, /proc cannot be read.
//  3. Apply Landlock. The library uses the system call tkill to send a
//     signal to each thread, and each thread then confines itself.
//  4. Deny tkill by a second seccomp filter, because a filter cannot
//     distinguish a signal to a thread of this process from a signal to another
//     process.
func (r *Restrictions) Apply() error {
	if err := dropCapabilities(); err != nil {
		return fmt.Errorf("capabilities: %w", err)
	}
	if err := lowerLimits(); err != nil {
		return fmt.Errorf("limits: %w", err)
	}
	if err := r.limitCalls(); err != nil {
		return fmt.Errorf("seccomp: %w", err)
	}
	rules := []landlock.Rule{landlock.PathAccess(writeFile, os.DevNull)}
	if r.readAll {
		all, err := readAllRules()
		if err != nil {
			return fmt.Errorf("landlock: %w", err)
		}
		rules = append(rules, all...)
	}
	for _, name := range r.read {
		rules = append(rules, pathRule(name, readFile, readDir))
	}
	for _, name := range r.write {
		rules = append(rules, pathRule(name, writeFile, writeDir))
	}
	if err := landlock.V9.BestEffort().Restrict(rules...); err != nil {
		return fmt.Errorf("landlock: %w", err)
	}
	table, err := arch.GetInfo("")
	if err == nil {
		err = withoutTkill(table).apply()
	}
	if err != nil {
		return fmt.Errorf("seccomp: %w", err)
	}
	for _, name := range slices.Concat(r.read, r.write) {
		if fd, err := strconv.Atoi(name); err == nil {
			unix.Close(fd)
		}
	}
	return nil
}

// limitCalls applies the filter of system calls to all threads of this process,
// and checks in /proc that it applies to each of them.
func (r *Restrictions) limitCalls() error {
	table, err := arch.GetInfo("")
	if err != nil {
		return err
	}
	if err := r.rules(table, os.Getpid()).filter().apply(); err != nil {
		return err
	}
	threads, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil {
		return fmt.Errorf("cannot check that all threads are confined: %w", err)
	}
	if len(threads) == 0 {
		return errors.New("cannot check that all threads are confined: /proc/self/task lists no threads")
	}
	for _, path := range threads {
		status, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue // the thread has ended
		}
		if err != nil {
			return fmt.Errorf("cannot check that all threads are confined: %w", err)
		}
		if !bytes.Contains(status, []byte("\nNoNewPrivs:\t1\n")) || !bytes.Contains(status, []byte("\nSeccomp:\t2\n")) {
			return fmt.Errorf("thread %s is not confined", filepath.Base(filepath.Dir(path)))
		}
	}
	return nil
}

// maxFiles is the maximum number of open files of a confined worker. This
// limit is necessary because each pipe uses memory that no other limit
// includes.
const maxFiles = 4096

// lowerLimits permanently lowers the limits of open files, of the stack and of
// core files.
func lowerLimits() error {
	for resource, maximum := range map[int]uint64{unix.RLIMIT_NOFILE: maxFiles, unix.RLIMIT_STACK: 8 << 20, unix.RLIMIT_CORE: 0} {
		var limit unix.Rlimit
		if err := unix.Getrlimit(resource, &limit); err != nil {
			return err
		}
		limit.Cur = min(limit.Cur, maximum)
		limit.Max = limit.Cur
		if err := unix.Setrlimit(resource, &limit); err != nil {
			return err
		}
	}
	return nil
}

// dropCapabilities drops the capabilities of all threads, except those over
// files.
func dropCapabilities() error {
	const keep = 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_DAC_READ_SEARCH
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&head, &data[0]); err != nil {
		return err
	}
	data[0].Effective &= keep
	data[0].Permitted &= keep
	data[0].Inheritable = 0
	data[1] = unix.CapUserData{}
	_, _, e := psx.Syscall3(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&head)), uintptr(unsafe.Pointer(&data[0])), 0)
	if e != 0 {
		return e
	}
	return nil
}

// openPath opens a file or directory, but not for reading: the result only
// refers to the file. It refers to the same file even after a rename.
func openPath(path string) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// CloseInherited closes the files that this process has inherited, except the
// standard streams, the files of the sandbox, and the files in the argument.
// Files that this process has opened itself stay open; CloseInherited
// recognizes them by the flag close-on-exec, which Go sets for all files.
func (r *Restrictions) CloseInherited(passed []string) error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	known := slices.Concat(passed, r.read, r.write)
	for _, entry := range entries {
		fd, err := strconv.Atoi(entry.Name())
		if err != nil || fd < 3 || slices.Contains(known, entry.Name()) {
			continue
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			unix.Close(fd)
		}
	}
	return nil
}
