package supervisor

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// setupVariable is set in the supervisor only. Its value has the fields of
	// setup.
	setupVariable = "CONCERT_SUPERVISOR"

	// jobVariable is set in each job.
	jobVariable = "CONCERT_JOB"

	// File descriptors of the supervisor.
	socketFile = 0
	keeperFile = 1 // if there are control groups: see cgroup.Tree.Alive
)

// Exit codes of the supervisor.
const (
	exitSetup     = 111 // it was started in a wrong way
	exitSurvivors = 112 // processes are left that could not be killed
	exitMessage   = 113 // a message of the runner was invalid
)

const maxReceivers = 8

// closeTime is the time for which the supervisor tries to kill its descendants
// before it exits.
const closeTime = 10 * time.Second

// setup has the settings that the supervisor gets from the runner.
type setup struct {
	run    string // the name of the run: random, without dots and slashes
	grace  time.Duration
	slots  int // 0: no limit
	memory int64
	cpu    time.Duration

	groups      string // directory of the control groups, or ""
	groupMemory bool   // the memory of control groups can be limited
}

func (s *setup) String() string {
	return fmt.Sprintf("%s %d %d %d %d %q %t", s.run, s.grace, s.slots, s.memory, s.cpu, s.groups, s.groupMemory)
}

func (s *setup) parse(text string) error {
	_, err := fmt.Sscanf(text, "%s %d %d %d %d %q %t", &s.run, &s.grace, &s.slots, &s.memory, &s.cpu, &s.groups, &s.groupMemory)
	return err
}

// Main runs the supervisor. A program must call it first in main, and in
// TestMain. If the process is not a supervisor, Main returns at once.
func Main() {
	text, ok := os.LookupEnv(setupVariable)
	if !ok {
		return
	}
	os.Unsetenv(setupVariable)
	var own setup
	if err := own.parse(text); err != nil {
		fmt.Fprintf(os.Stderr, "concert: %s: %v\n", setupVariable, err)
		os.Exit(exitSetup)
	}
	supervise(own)
}

// supervise runs the supervisor. It does not return.
func supervise(own setup) {
	syscall.CloseOnExec(socketFile)
	syscall.CloseOnExec(keeperFile)
	s := &server{
		setup:   own,
		socket:  socketFile,
		marker:  own.run + ".",
		jobs:    make(map[uint64]*job),
		leaders: make(map[int]*job),
		orphans: make(map[int]*orphan),
		handed:  make(chan *request),
	}
	s.hasJobs.L = &s.mu
	s.limit()
	if outer, ok := os.LookupEnv(jobVariable); ok {
		s.marker = outer + "/" + s.marker
	}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, jobVariable+"=") {
			s.env = append(s.env, v)
		}
	}
	// With Pdeathsig, the kernel kills the commands if the supervisor is
	// killed. It does not kill their descendants.
	s.attr.Sys = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	ignoreSignals()
	dropChildSignal()
	var err error
	if s.null, err = unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0); err == nil {
		err = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "concert: supervise commands:", err)
		os.Exit(exitSetup)
	}
	s.children = openChildren()
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50) // saves 2 MiB of memory, and takes no measurable time
	}
	receivers := min(runtime.GOMAXPROCS(0), maxReceivers)
	if s.slots > 0 {
		receivers = 1 // so that jobs wait in the order of their messages
	}
	// Each of the goroutines below waits in a system call. Go gets a processor
	// for each of them. Otherwise a goroutine would have to wait after its
	// system call, until the runtime takes a processor from another goroutine.
	runtime.GOMAXPROCS(receivers + 2)
	offMainThread(s.reap)
	offMainThread(s.startHanded)
	for range receivers {
		offMainThread(s.receive)
	}
	select {} // the goroutine reap exits the process
}

// ignoreSignals ignores signals that end a program, because the runner decides
// when the supervisor ends. The jobs do not ignore them.
func ignoreSignals() {
	ignored := make(chan os.Signal, 1) // nothing receives from this channel
	for _, sig := range []os.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT} {
		if !signal.Ignored(sig) { // a signal that is already ignored, as under nohup, stays ignored in the jobs, too
			signal.Notify(ignored, sig)
		}
	}
}

// dropChildSignal sets the default action for SIGCHLD, with which the kernel
// drops the signal. Otherwise each end of a process would wake a thread for
// the signal handler of Go. Package signal cannot remove this handler. Zeros
// mean the default action.
func dropChildSignal() {
	var action [8]uint64
	const setSize = 8 // the size of a set of signals in bytes
	unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(unix.SIGCHLD), uintptr(unsafe.Pointer(&action)), 0, setSize, 0, 0)
}

// offMainThread calls f in a goroutine that has its own thread. It is never
// the first thread of the process, because that thread gets the orphans as
// children.
func offMainThread(f func()) {
	started := make(chan bool)
	var try func()
	try = func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			go try() // on another thread, because this goroutine keeps the first one
			select {}
		}
		started <- true
		f()
		select {} // keeps the thread: the kernel kills the jobs if the thread that started them ends
	}
	go try()
	<-started
}
