package confine

import (
	"regexp"
	"sync"

	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/sys/unix"
)

// denied matches the system calls that a confined worker must not make, or
// may make only under the conditions of Restrictions.rules. All other calls
// in the table are allowed. Calls that are not in the table are denied, for
// example calls of newer systems and of other instruction sets.
var denied = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile("^(?:" +
		"execve|execveat|uselib|fork|vfork" + // programs, and processes
		"|mmap2?|memfd_.*|madvise|remap_file_pages" + // memory
		"|vmsplice|splice|tee|sendfile(64)?" + // a pipe would keep pages that the process has unmapped
		"|socket|socketpair|socketcall|connect|bind|listen|accept4?|send(to|msg|mmsg)|io_uring_.*" + // sockets; seccomp does not filter the operations of io_uring
		"|f?chmod.*|[fl]?chown.*|.*setxattr.*|.*removexattr.*|utime|utimes|utimensat.*|futimesat|ioctl_.*" + // attributes of files, which Landlock does not cover
		"|kill|tgkill|fcntl(64)?|ioctl|clone|inotify_.*|rt_(tg)?sigqueueinfo|pidfd_.*|ptrace|process_.*|kcmp" + // other processes
		"|prlimit64|setpriority|ioprio_set|sched_setaffinity|sched_setattr|sched_setparam|sched_setscheduler|migrate_pages|move_pages" +
		"|mount.*|umount.*|move_mount|open_tree.*|fs(open|config|mount|pick)|pivot_root|chroot|setns|unshare" + // mounts and namespaces
		"|set.*(uid|gid|groups|pgid|sid).*|setpgid|setsid|capset" + // users and groups
		"|bpf|perf_event_open|userfaultfd|add_key|request_key|keyctl|lookup_dcookie|nfsservctl|vhangup|quotactl.*|acct|swapon|swapoff|syslog" + // the system
		"|(init|finit|create|delete|query)_module|kexec_.*|reboot|iopl|ioperm|vm86.*|modify_ldt" +
		"|settimeofday|stime|clock_settime.*|clock_adjtime.*|adjtimex|sethostname|setdomainname|open_by_handle_at|name_to_handle_at" +
		"|personality|.*shm.*|.*msg(get|snd|rcv|ctl)|.*sem(get|op|ctl|timedop).*|mq_.*|ipc|fanotify_.*" +
		")$")
})

// namespaces are the flags of clone that create namespaces.
const namespaces = unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP

// Requests of ioctl. They have the same numbers on all systems that have a
// table.
const (
	fionread = 0x541b
	fionbio  = 0x5421
	fionclex = 0x5450
	fioclex  = 0x5451
)

// advice are the allowed arguments of madvise. MADV_REMOVE is not allowed,
// because it would remove pages of the memory that is shared with the pool. The
// arguments that inject memory errors are not allowed either.
var advice = []uint32{
	unix.MADV_NORMAL, unix.MADV_RANDOM, unix.MADV_SEQUENTIAL, unix.MADV_WILLNEED, unix.MADV_DONTNEED, unix.MADV_FREE,
	unix.MADV_DONTFORK, unix.MADV_DOFORK, unix.MADV_MERGEABLE, unix.MADV_UNMERGEABLE, unix.MADV_HUGEPAGE, unix.MADV_NOHUGEPAGE,
	unix.MADV_DONTDUMP, unix.MADV_DODUMP, unix.MADV_WIPEONFORK, unix.MADV_KEEPONFORK, unix.MADV_COLD, unix.MADV_PAGEOUT,
	unix.MADV_POPULATE_READ, unix.MADV_POPULATE_WRITE, unix.MADV_COLLAPSE,
}

// rules returns the system calls that a worker may make. The parameter pid
// is the process id of the worker.
func (r *Restrictions) rules(table *arch.Info, pid int) rules {
	is := func(argument int, values ...uint32) (lists [][]condition) {
		for _, v := range values {
			lists = append(lists, []condition{{argument, equals, v}})
		}
		return lists
	}
	files := is(1, unix.F_DUPFD, unix.F_GETFD, unix.F_SETFD, unix.F_GETFL, unix.F_SETFL, unix.F_GETLK, unix.F_SETLK, // not F_SETOWN, which sends signals to another process
		unix.F_SETLKW, unix.F_DUPFD_CLOEXEC, unix.F_GETPIPE_SZ, unix.F_SETPIPE_SZ, unix.F_ADD_SEALS, unix.F_GET_SEALS)
	// RLIMIT_DATA, the limit of memory, does not include shared memory and
	// stacks.
	const shared = unix.MAP_SHARED & unix.MAP_SHARED_VALIDATE // the bit that private mappings do not have
	mappings := [][]condition{{{3, hasNone, shared | unix.MAP_GROWSDOWN}}}
	if !r.limitedMemory {
		mappings = append(mappings, []condition{{3, hasNone, unix.MAP_ANONYMOUS | unix.MAP_GROWSDOWN}})
	}
	allowed := rules{table, map[string][][]condition{
		"tgkill":    is(0, uint32(pid)), // Go preempts its own threads by signals
		"kill":      is(0, uint32(pid)),
		"prlimit64": is(0, 0),                                                                         // of itself
		"clone":     {{{0, hasAny, unix.CLONE_THREAD}, {0, hasNone, namespaces | unix.CLONE_PARENT}}}, // a thread
		"fcntl":     files, "fcntl64": files,
		"ioctl":   is(1, fionread, fionbio, fioclex, fionclex, unix.TCGETS, unix.TIOCGWINSZ),
		"madvise": is(2, advice...),
		"mmap":    mappings,
	}}
	if _, known := table.SyscallNames["mmap2"]; known {
		allowed.some["mmap2"] = mappings
		delete(allowed.some, "mmap") // denied, because its arguments are in memory
	}
	return allowed
}
