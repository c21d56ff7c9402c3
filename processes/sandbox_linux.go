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
func (s *Sandbox) confine() error {
	if err := dropCapabilities(); err != nil {
		return fmt.Errorf("capabilities: %w", err)
	}
	if err := limitCalls(); err != nil {
		return fmt.Errorf("seccomp: %w", err)
	}
	rules := []landlock.Rule{landlock.PathAccess(writeFile, os.DevNull)}
	for _, path := range s.Read {
		rules = append(rules, rule(path, readFile, readFolder))
	}
	for _, path := range s.Write {
		rules = append(rules, rule(path, writeFile, writeFolder))
	}
	if err := landlock.V9.BestEffort().Restrict(rules...); err != nil {
		return fmt.Errorf("landlock: %w", err)
	}
	err := load(seccomp.Policy{
		DefaultAction: seccomp.ActionAllow,
		Syscalls:      []seccomp.SyscallGroup{{Action: seccomp.ActionErrno, Names: []string{"tkill"}}},
	})
	if err != nil {
		return fmt.Errorf("seccomp: %w", err)
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

// rule gives rights to a path: to a file only those that files can have.
func rule(path string, file, folder landlock.AccessFSSet) landlock.Rule {
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
	"|socket|socketcall|io_uring_.*" + // sockets; io_uring makes calls that nobody filters
	"|f?chmod.*|[fl]?chown.*|.*setxattr.*|.*removexattr.*|utime|utimes|utimensat.*|futimesat|ioctl_.*" + // of files, where Landlock does not look
	"|kill|tgkill|rt_(tg)?sigqueueinfo|pidfd_.*|ptrace|process_.*|kcmp" + // other processes
	"|prlimit64|setpriority|ioprio_set|sched_setaffinity|sched_setattr|sched_setparam|sched_setscheduler|migrate_pages|move_pages" +
	"|mount.*|umount.*|move_mount|open_tree.*|fs(open|config|mount|pick)|pivot_root|chroot|setns|unshare" + // the view of files
	"|set.*(uid|gid|groups|pgid|sid).*|setpgid|setsid|capset" + // who it is
	"|bpf|perf_event_open|userfaultfd|add_key|request_key|keyctl|lookup_dcookie|nfsservctl|vhangup|quotactl.*|acct|swapon|swapoff|syslog" + // the system
	"|(init|finit|create|delete|query)_module|kexec_.*|reboot|iopl|ioperm|vm86.*|modify_ldt" +
	"|settimeofday|stime|clock_settime.*|clock_adjtime.*|adjtimex|sethostname|setdomainname|open_by_handle_at|name_to_handle_at" +
	"|personality|.*shm.*|.*msg(get|snd|rcv|ctl)|.*sem(get|op|ctl|timedop).*|mq_.*|ipc|fanotify_.*" +
	")$")

// limitCalls binds all threads of this process, and sees to it that it did.
func limitCalls() error {
	table, err := arch.GetInfo("")
	if err != nil {
		return err
	}
	allowed := slices.DeleteFunc(slices.Sorted(maps.Keys(table.SyscallNames)), denied.MatchString)
	self := uint64(os.Getpid())
	only := func(name string, argument uint32, value uint64) seccomp.NameWithConditions {
		return seccomp.NameWithConditions{Name: name, Conditions: seccomp.ArgumentConditions{
			{Argument: argument, Operation: seccomp.Equal, Value: value},
		}}
	}
	err = load(seccomp.Policy{
		DefaultAction: seccomp.ActionErrno, // EPERM
		Syscalls: []seccomp.SyscallGroup{{
			Action: seccomp.ActionAllow,
			Names:  allowed,
			NamesWithCondtions: []seccomp.NameWithConditions{
				only("tgkill", 0, self), // Go stops its own threads so
				only("kill", 0, self),
				only("prlimit64", 0, 0), // itself
			},
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
