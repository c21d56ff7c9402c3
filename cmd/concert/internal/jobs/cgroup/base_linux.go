package cgroup

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// errNotDelegated says that this process may not make groups.
var errNotDelegated = errors.New("the control group of this process is not delegated to it")

// findBase returns the directory of the group that this process may manage.
func findBase() (string, error) {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	mount, path, err := locate(string(own), string(mounts))
	if err != nil {
		return "", err
	}
	dir := filepath.Join(mount, path)
	switch {
	case path == "/" || isDelegated(dir):
		return dir, nil
	case isDelegated(filepath.Dir(dir)): // as with DelegateSubgroup
		return filepath.Dir(dir), nil
	}
	return "", errNotDelegated
}

// locate returns the directory of the groups of version 2, and the path of the
// group of a process in this directory. The parameters are the contents of two
// files of the process in /proc.
func locate(own, mounts string) (mount, path string, err error) {
	group, found := "", false
	for line := range strings.Lines(own) {
		if rest, ok := strings.CutPrefix(line, "0::"); ok {
			group, found = strings.TrimSuffix(rest, "\n"), true
		}
	}
	if !found {
		return "", "", errors.New("this system has no control groups of version 2")
	}
	for line := range strings.Lines(mounts) {
		before, after, _ := strings.Cut(line, " - ")
		fields := strings.Fields(before)
		if len(fields) < 5 || !strings.HasPrefix(after, "cgroup2 ") {
			continue
		}
		root := fields[3]
		if path, ok := strings.CutPrefix(group, strings.TrimSuffix(root, "/")); ok && !strings.HasPrefix(path, "/..") {
			return unescape(fields[4]), "/" + strings.TrimPrefix(path, "/"), nil
		}
	}
	return "", "", errors.New("no directory has the control group of this process")
}

// unescape replaces the escape sequences of /proc/self/mountinfo.
func unescape(path string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(path)
}

// isDelegated reports whether systemd has delegated a group.
func isDelegated(dir string) bool {
	var value [8]byte
	n, err := unix.Lgetxattr(dir, "user.delegate", value[:])
	return err == nil && string(value[:n]) == "1"
}

// enableMemory lets the children of a group have memory limits. If this
// process is the only process in the group base, it moves to the group self.
// enableMemory reports false if memory cannot be limited.
func enableMemory(base, self string) (moved, ok bool) {
	if !has(base, "cgroup.controllers", "memory") {
		return false, false
	}
	if has(base, "cgroup.subtree_control", "memory") || write(base, "cgroup.subtree_control", "+memory") == nil {
		return false, true
	}
	own := fmt.Sprint(os.Getpid())
	procs, err := os.ReadFile(filepath.Join(base, "cgroup.procs"))
	if err != nil || string(bytes.TrimSpace(procs)) != own || os.Mkdir(self, 0o755) != nil {
		return false, false
	}
	if write(self, "cgroup.procs", own) == nil {
		if write(base, "cgroup.subtree_control", "+memory") == nil {
			return true, true
		}
		write(base, "cgroup.procs", own)
	}
	os.Remove(self)
	return false, false
}

// moveBack undoes a move of enableMemory. The group self must be the only
// child of the group base.
func moveBack(base, self string) {
	write(base, "cgroup.subtree_control", "-memory")
	write(base, "cgroup.procs", fmt.Sprint(os.Getpid()))
	os.Remove(self)
}

// has reports whether a file of a group has a word.
func has(dir, file, word string) bool {
	text, _ := os.ReadFile(filepath.Join(dir, file))
	return slices.Contains(strings.Fields(string(text)), word)
}

// write writes to a file of a group.
func write(dir, file, text string) error {
	f, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}
