package confine

import (
	"fmt"
	"os"
	"strconv"

	"github.com/landlock-lsm/go-landlock/landlock"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// machineFiles are the files of /proc that contain nothing about other
// processes.
var machineFiles = []string{"cpuinfo", "filesystems", "loadavg", "meminfo", "stat", "sys", "uptime", "version"}

// readAllRules returns rules by which this process may read all files, except
// the files of /proc about other processes.
func readAllRules() ([]landlock.Rule, error) {
	entries, err := os.ReadDir("/")
	if err != nil {
		return nil, err
	}
	var rules []landlock.Rule
	for _, entry := range entries {
		path := "/" + entry.Name()
		if info, err := os.Stat(path); err != nil || path == "/proc" {
			continue // a broken link, or /proc
		} else if info.IsDir() {
			rules = append(rules, landlock.PathAccess(readDir, path))
		} else {
			rules = append(rules, landlock.PathAccess(readFile, path))
		}
	}
	for _, name := range append([]string{"self"}, machineFiles...) {
		// The file stays open. The kernel may discard a file of /proc that
		// is not open, and create it again later. A rule for the old file
		// does not apply to the new one.
		fd, err := unix.Open("/proc/"+name, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err == unix.ENOENT {
			continue
		} else if err != nil {
			return nil, fmt.Errorf("/proc/%s: %w", name, err)
		}
		rules = append(rules, pathRule(strconv.Itoa(fd), readFile, readDir))
	}
	return rules, nil
}

// The rights that can be granted for files and directories. They do not include
// the rights to execute files and to make devices and sockets.
const (
	readFile  = landlock.AccessFSSet(ll.AccessFSReadFile)
	readDir   = readFile | ll.AccessFSReadDir
	writeFile = readFile | ll.AccessFSWriteFile | ll.AccessFSTruncate
	writeDir  = writeFile | readDir | ll.AccessFSRemoveDir | ll.AccessFSRemoveFile | ll.AccessFSMakeDir |
		ll.AccessFSMakeReg | ll.AccessFSMakeFifo | ll.AccessFSMakeSym | ll.AccessFSRefer
)

// pathRule returns a rule that grants rights for an open file or directory.
// The parameter name is its name in /proc/self/fd. If it is a file, the rule
// grants the rights of the parameter file, and otherwise those of dir.
func pathRule(name string, file, dir landlock.AccessFSSet) landlock.Rule {
	path := "/proc/self/fd/" + name
	rights := dir
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		rights = file
	}
	return landlock.PathAccess(rights, path)
}
