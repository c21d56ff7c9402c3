package processes

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
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

// Two locks, as neither is enough. Landlock knows paths, and leaves a hole where
// there is none: sockets other than TCP, programs that are in memory, the modes of
// files, signals before Linux 6.12. Seccomp knows system calls and numbers, and
// no paths. Both bind all threads and children, and cannot be undone.

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
//  3. Landlock, which the library binds thread by thread, with a signal to each.
//  4. Seccomp again: that signal cannot be told from one to another process.
func (p *passedSandbox) confine() error {
	if err := dropCapabilities(); err != nil {
		return fmt.Errorf("capabilities: %w", err)
	}
	if err := limitCalls(); err != nil {
		return fmt.Errorf("seccomp: %w", err)
	}
	rules := []landlock.Rule{landlock.PathAccess(writeFile, os.DevNull)}
	for _, name := range p.read {
		rules = append(rules, rule(name, readFile, readFolder))
	}
	for _, name := range p.write {
		rules = append(rules, rule(name, writeFile, writeFolder))
	}
	if err := landlock.V9.BestEffort().Restrict(rules...); err != nil {
		return fmt.Errorf("landlock: %w", err)
	}
	err := load(seccomp.Policy{
		DefaultAction: seccomp.ActionAllow,
		Syscalls:      []seccomp.SyscallGroup{{Action: seccomp.ActionErrno, Names: []string{"tkill"}}},
	})
	if err == nil {
		err = hideClone3()
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

// openPlace opens a file or folder to stand for itself, whatever becomes of its name.
func openPlace(path string) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// closeInherited closes the files that this process has and nobody in it opened: those that
// are neither passed by the pool nor closed on exec, as all are that Go opens.
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

// Rights. That to execute is never given, nor those to make devices and sockets.
const (
	readFile    = landlock.AccessFSSet(ll.AccessFSReadFile)
	readFolder  = readFile | ll.AccessFSReadDir
	writeFile   = readFile | ll.AccessFSWriteFile | ll.AccessFSTruncate
	writeFolder = writeFile | readFolder | ll.AccessFSRemoveDir | ll.AccessFSRemoveFile | ll.AccessFSMakeDir |
		ll.AccessFSMakeReg | ll.AccessFSMakeFifo | ll.AccessFSMakeSym | ll.AccessFSRefer
)

// rule gives rights to what is open under a name: to a file only those that files
// can have.
func rule(name string, file, folder landlock.AccessFSSet) landlock.Rule {
	path := "/proc/self/fd/" + name
	rights := folder
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		rights = file
	}
	return landlock.PathAccess(rights, path)
}

// denied are the system calls that a confined worker cannot make. All that the
// table knows are allowed but these; any that it does not know, those of newer systems
// and of other instruction sets, are not.
var denied = regexp.MustCompile("^(?:" +
	"execve|execveat|uselib" + // programs
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

// limitCalls binds all threads of this process, and sees to it that it did.
func limitCalls() error {
	table, err := arch.GetInfo("")
	if err != nil {
		return err
	}
	allowed := slices.DeleteFunc(slices.Sorted(maps.Keys(table.SyscallNames)), denied.MatchString)
	self := uint64(os.Getpid())
	var some []seccomp.NameWithConditions
	allow := func(name string, argument uint32, operation seccomp.Operation, values ...uint64) {
		if _, known := table.SyscallNames[name]; !known {
			return
		}
		for _, value := range values {
			some = append(some, seccomp.NameWithConditions{Name: name, Conditions: seccomp.ArgumentConditions{
				{Argument: argument, Operation: operation, Value: value},
			}})
		}
	}
	allow("tgkill", 0, seccomp.Equal, self) // Go stops its own threads so
	allow("kill", 0, seccomp.Equal, self)
	allow("prlimit64", 0, seccomp.Equal, 0) // itself
	allow("clone", 0, seccomp.BitsNotSet, namespaces|unix.CLONE_PARENT)
	for _, name := range []string{"fcntl", "fcntl64"} { // not whose process a signal goes to
		allow(name, 1, seccomp.Equal, unix.F_DUPFD, unix.F_GETFD, unix.F_SETFD, unix.F_GETFL, unix.F_SETFL, unix.F_GETLK, unix.F_SETLK,
			unix.F_SETLKW, unix.F_DUPFD_CLOEXEC, unix.F_GETPIPE_SZ, unix.F_SETPIPE_SZ, unix.F_ADD_SEALS, unix.F_GET_SEALS)
	}
	allow("ioctl", 1, seccomp.Equal, fionread, fionbio, fioclex, fionclex, unix.TCGETS, unix.TIOCGWINSZ)
	err = load(seccomp.Policy{
		DefaultAction: seccomp.ActionErrno, // EPERM
		Syscalls: []seccomp.SyscallGroup{{
			Action:             seccomp.ActionAllow,
			Names:              allowed,
			NamesWithCondtions: some,
		}},
	})
	if err != nil {
		return err
	}
	threads, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil || len(threads) == 0 {
		return fmt.Errorf("it cannot be seen whether all threads are bound: %w", err)
	}
	for _, path := range threads {
		status, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue // it has ended
		}
		if !bytes.Contains(status, []byte("\nNoNewPrivs:\t1\n")) || !bytes.Contains(status, []byte("\nSeccomp:\t2\n")) {
			return fmt.Errorf("thread %s is not bound: %w", filepath.Base(filepath.Dir(path)), err)
		}
	}
	return nil
}

// load binds all threads to a policy.
func load(p seccomp.Policy) error {
	runtime.LockOSThread() // the right to do so is the thread's
	defer runtime.UnlockOSThread()
	return seccomp.LoadFilter(seccomp.Filter{NoNewPrivs: true, Flag: seccomp.FilterFlagTSync, Policy: p})
}

// hideClone3 has clone3 say that there is no such call: its flags are in memory,
// where no filter sees them, and the C library then uses clone. The library of filters has
// no answer but EPERM, which would be the end of a C program that makes a thread.
func hideClone3() error {
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}, // the number of the call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_CLONE3, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	thread, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	if e != 0 {
		return e
	}
	if thread != 0 {
		return fmt.Errorf("thread %d could not be bound", thread)
	}
	return nil
}
