package processes

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
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

// Two locks, as neither is enough. Landlock knows paths, and leaves a hole
// where there is none: sockets other than TCP, programs that are in memory, the
// modes of files, signals before Linux 6.12. Seccomp knows system calls and
// numbers, and no paths. Both bind all threads and children, and cannot be
// undone.

// leastLandlock is the version from which on files cannot be truncated either.
const leastLandlock = 3

func canConfine() error {
	if v, err := ll.LandlockGetABIVersion(); err != nil {
		return fmt.Errorf("this system has no Landlock (%w)", err)
	} else if v < leastLandlock {
		return fmt.Errorf("this system has version %d of Landlock, and %d is needed, as Linux 6.2 has it", v, leastLandlock)
	}
	if !seccomp.Supported() {
		return errors.New("this system has no seccomp")
	}
	if _, err := arch.GetInfo(""); err != nil {
		return fmt.Errorf("no table of system calls for %s", runtime.GOARCH)
	}
	return nil
}

// confine confines this process:
//
//  1. Root keeps only its rights to files, or /proc shows it all processes.
//  2. Seccomp, while it can be seen in /proc that all threads are bound.
//  3. Landlock, which the library binds thread by thread, with a signal to
//     each.
//  4. Seccomp again: that signal cannot be told from one to another process.
func (p *passedSandbox) confine() error {
	if err := dropCapabilities(); err != nil {
		return fmt.Errorf("capabilities: %w", err)
	}
	if err := lowerLimits(); err != nil {
		return fmt.Errorf("limits: %w", err)
	}
	if err := p.limitCalls(); err != nil {
		return fmt.Errorf("seccomp: %w", err)
	}
	rules := []landlock.Rule{landlock.PathAccess(writeFile, os.DevNull)}
	if p.all {
		all, err := readAll()
		if err != nil {
			return fmt.Errorf("landlock: %w", err)
		}
		rules = append(rules, all...)
	}
	for _, name := range p.read {
		rules = append(rules, rule(name, readFile, readDir))
	}
	for _, name := range p.write {
		rules = append(rules, rule(name, writeFile, writeDir))
	}
	if err := landlock.V9.BestEffort().Restrict(rules...); err != nil {
		return fmt.Errorf("landlock: %w", err)
	}
	table, err := arch.GetInfo("")
	if err == nil {
		err = withoutTkill(table).bind()
	}
	if err != nil {
		return fmt.Errorf("seccomp: %w", err)
	}
	for _, name := range slices.Concat(p.read, p.write) {
		if fd, err := strconv.Atoi(name); err == nil {
			unix.Close(fd)
		}
	}
	return nil
}

// ofMachine are the files of /proc that say nothing about other processes.
var ofMachine = []string{"cpuinfo", "filesystems", "loadavg", "meminfo", "stat", "sys", "uptime", "version"}

// readAll returns the rules by which all files can be read but those of /proc
// that are about other processes.
func readAll() ([]landlock.Rule, error) {
	entries, err := os.ReadDir("/")
	if err != nil {
		return nil, err
	}
	var rules []landlock.Rule
	for _, entry := range entries {
		path := "/" + entry.Name()
		if info, err := os.Stat(path); err != nil || path == "/proc" {
			continue // a link that leads nowhere
		} else if info.IsDir() {
			rules = append(rules, landlock.PathAccess(readDir, path))
		} else {
			rules = append(rules, landlock.PathAccess(readFile, path))
		}
	}
	for _, name := range append([]string{"self"}, ofMachine...) {
		// The kernel drops files of /proc that are not in use and makes them
		// anew, and a rule holds for the file that there was. So these stay
		// open.
		fd, err := unix.Open("/proc/"+name, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err == unix.ENOENT {
			continue
		} else if err != nil {
			return nil, fmt.Errorf("/proc/%s: %w", name, err)
		}
		rules = append(rules, rule(strconv.Itoa(fd), readFile, readDir))
	}
	return rules, nil
}

// mostFiles is how many files a confined worker may have open. Each pipe among
// them is memory that no limit counts.
const mostFiles = 4096

// lowerLimits permanently lowers the limits of resources that cost memory or
// files.
func lowerLimits() error {
	for what, most := range map[int]uint64{unix.RLIMIT_NOFILE: mostFiles, unix.RLIMIT_STACK: 8 << 20, unix.RLIMIT_CORE: 0} {
		var limit unix.Rlimit
		if err := unix.Getrlimit(what, &limit); err != nil {
			return err
		}
		limit.Cur = min(limit.Cur, most)
		limit.Max = limit.Cur
		if err := unix.Setrlimit(what, &limit); err != nil {
			return err
		}
	}
	return nil
}

// openPlace opens a file or directory to stand for itself, whatever becomes of
// its name.
func openPlace(path string) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// closeInherited closes the files that this process has and nobody in it
// opened: those that are neither passed by the pool nor closed on exec, as all
// are that Go opens.
func (p *passedSandbox) closeInherited(passed []string) error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	known := slices.Concat(passed, p.read, p.write)
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

// dropCapabilities leaves all threads those over files that they have.
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

// Rights. That to execute is never given, nor those to make devices and
// sockets.
const (
	readFile  = landlock.AccessFSSet(ll.AccessFSReadFile)
	readDir   = readFile | ll.AccessFSReadDir
	writeFile = readFile | ll.AccessFSWriteFile | ll.AccessFSTruncate
	writeDir  = writeFile | readDir | ll.AccessFSRemoveDir | ll.AccessFSRemoveFile | ll.AccessFSMakeDir |
		ll.AccessFSMakeReg | ll.AccessFSMakeFifo | ll.AccessFSMakeSym | ll.AccessFSRefer
)

// rule gives rights to what is open under a name: to a file only those that
// files can have.
func rule(name string, file, dir landlock.AccessFSSet) landlock.Rule {
	path := "/proc/self/fd/" + name
	rights := dir
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		rights = file
	}
	return landlock.PathAccess(rights, path)
}

// denied are the system calls that a confined worker cannot make. All that the
// table knows are allowed but these; any that it does not know, those of newer
// systems and of other instruction sets, are not.
var denied = regexp.MustCompile("^(?:" +
	"execve|execveat|uselib|fork|vfork" + // programs, and processes
	"|mmap2?|memfd_.*|madvise|remap_file_pages" + // memory; most of these with some arguments only
	"|vmsplice|splice|tee|sendfile(64)?" + // a pipe would keep pages, and large ones as a whole, that the process has unmapped
	"|socket|socketpair|socketcall|connect|bind|listen|accept4?|send(to|msg|mmsg)|io_uring_.*" + // sockets; io_uring makes calls that nobody filters
	"|f?chmod.*|[fl]?chown.*|.*setxattr.*|.*removexattr.*|utime|utimes|utimensat.*|futimesat|ioctl_.*" + // of files, where Landlock does not look
	"|kill|tgkill|fcntl(64)?|ioctl|clone|inotify_.*|rt_(tg)?sigqueueinfo|pidfd_.*|ptrace|process_.*|kcmp" + // other processes
	"|prlimit64|setpriority|ioprio_set|sched_setaffinity|sched_setattr|sched_setparam|sched_setscheduler|migrate_pages|move_pages" +
	"|mount.*|umount.*|move_mount|open_tree.*|fs(open|config|mount|pick)|pivot_root|chroot|setns|unshare" + // the view of files
	"|set.*(uid|gid|groups|pgid|sid).*|setpgid|setsid|capset" + // who it is
	"|bpf|perf_event_open|userfaultfd|add_key|request_key|keyctl|lookup_dcookie|nfsservctl|vhangup|quotactl.*|acct|swapon|swapoff|syslog" + // the system
	"|(init|finit|create|delete|query)_module|kexec_.*|reboot|iopl|ioperm|vm86.*|modify_ldt" +
	"|settimeofday|stime|clock_settime.*|clock_adjtime.*|adjtimex|sethostname|setdomainname|open_by_handle_at|name_to_handle_at" +
	"|personality|.*shm.*|.*msg(get|snd|rcv|ctl)|.*sem(get|op|ctl|timedop).*|mq_.*|ipc|fanotify_.*" +
	")$")

// namespaces are the flags of clone that make some.
const namespaces = unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP

// Requests of ioctl, the same on all systems of which there is a table.
const (
	fionread = 0x541b
	fionbio  = 0x5421
	fionclex = 0x5450
	fioclex  = 0x5451
)

// advice is what may be said by madvise: all but MADV_REMOVE, by which the
// pages of shared memory would vanish under the pool, and what makes errors of
// memory.
var advice = []uint32{
	unix.MADV_NORMAL, unix.MADV_RANDOM, unix.MADV_SEQUENTIAL, unix.MADV_WILLNEED, unix.MADV_DONTNEED, unix.MADV_FREE,
	unix.MADV_DONTFORK, unix.MADV_DOFORK, unix.MADV_MERGEABLE, unix.MADV_UNMERGEABLE, unix.MADV_HUGEPAGE, unix.MADV_NOHUGEPAGE,
	unix.MADV_DONTDUMP, unix.MADV_DODUMP, unix.MADV_WIPEONFORK, unix.MADV_KEEPONFORK, unix.MADV_COLD, unix.MADV_PAGEOUT,
	unix.MADV_POPULATE_READ, unix.MADV_POPULATE_WRITE, unix.MADV_COLLAPSE,
}

// rules are what the worker may call.
func (p *passedSandbox) rules(table *arch.Info, pid int) rules {
	is := func(argument int, values ...uint32) (lists [][]condition) {
		for _, v := range values {
			lists = append(lists, []condition{{argument, equals, v}})
		}
		return lists
	}
	files := is(1, unix.F_DUPFD, unix.F_GETFD, unix.F_SETFD, unix.F_GETFL, unix.F_SETFL, unix.F_GETLK, unix.F_SETLK, // not whose process a signal goes to
		unix.F_SETLKW, unix.F_DUPFD_CLOEXEC, unix.F_GETPIPE_SZ, unix.F_SETPIPE_SZ, unix.F_ADD_SEALS, unix.F_GET_SEALS)
	// Memory that RLIMIT_DATA does not count is that which is shared, and
	// stacks.
	const shared = unix.MAP_SHARED & unix.MAP_SHARED_VALIDATE // the bit that no private one has
	mappings := [][]condition{{{3, hasNone, shared | unix.MAP_GROWSDOWN}}}
	if !p.memory {
		mappings = append(mappings, []condition{{3, hasNone, unix.MAP_ANONYMOUS | unix.MAP_GROWSDOWN}})
	}
	r := rules{table, map[string][][]condition{
		"tgkill":    is(0, uint32(pid)), // Go stops its own threads so
		"kill":      is(0, uint32(pid)),
		"prlimit64": is(0, 0),                                                                         // itself
		"clone":     {{{0, hasAny, unix.CLONE_THREAD}, {0, hasNone, namespaces | unix.CLONE_PARENT}}}, // a thread
		"fcntl":     files, "fcntl64": files,
		"ioctl":   is(1, fionread, fionbio, fioclex, fionclex, unix.TCGETS, unix.TIOCGWINSZ),
		"madvise": is(2, advice...),
		"mmap":    mappings,
	}}
	if _, known := table.SyscallNames["mmap2"]; known {
		r.some["mmap2"] = mappings
		delete(r.some, "mmap") // its arguments are in memory: denied
	}
	return r
}

// limitCalls binds all threads of this process, and sees to it that it did.
func (p *passedSandbox) limitCalls() error {
	table, err := arch.GetInfo("")
	if err != nil {
		return err
	}
	if err := p.rules(table, os.Getpid()).filter().bind(); err != nil {
		return err
	}
	threads, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil {
		return fmt.Errorf("cannot check that all threads are confined: %w", err)
	}
	if len(threads) == 0 {
		return errors.New("cannot check that all threads are confined: /proc/self/task has none")
	}
	for _, path := range threads {
		status, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue // it has ended
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
