package supervisor

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// setupVariable is set in the supervisor only. Its value has the fields of
	// setup.
	setupVariable = "CONCERT_SUPERVISOR"

	// jobVariable is set in each job.
	jobVariable = "CONCERT_JOB"

	// socketFile is the file descriptor of the socket in the supervisor.
	socketFile = 0
)

// Exit codes of the supervisor.
const (
	exitSetup     = 111 // it was started in a wrong way
	exitSurvivors = 112 // some processes could not be killed
	exitMessage   = 113 // a message of the runner was invalid
)

const maxReceivers = 8

// closeTime is how long the supervisor tries to kill its descendants before it
// exits.
const closeTime = 10 * time.Second

// setup has the settings that the supervisor gets from the runner.
type setup struct {
	run    string // the name of the run: random, without dots and slashes
	grace  time.Duration
	memory int64
	cpu    time.Duration
}

func (s *setup) String() string {
	return fmt.Sprintf("%s %d %d %d", s.run, s.grace, s.memory, s.cpu)
}

func (s *setup) parse(text string) error {
	_, err := fmt.Sscanf(text, "%s %d %d %d", &s.run, &s.grace, &s.memory, &s.cpu)
	return err
}

// Main is the supervisor. Call it first in main, and in TestMain. In a process
// that is not a supervisor, it returns at once.
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
	s := &server{
		setup:   own,
		socket:  socketFile,
		marker:  own.run + ".",
		shell:   limitCommand(own.memory, own.cpu),
		jobs:    make(map[uint64]*job),
		leaders: make(map[int]*job),
		orphans: make(map[int]*orphan),
	}
	s.hasJobs.L = &s.mu
	if outer, ok := os.LookupEnv(jobVariable); ok {
		s.marker = outer + "/" + s.marker
	}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, jobVariable+"=") {
			s.env = append(s.env, v)
		}
	}
	// The kernel kills the jobs if the supervisor is killed. This holds for the
	// commands themselves only.
	s.attr.Sys = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	ignoreSignals()
	var err error
	if s.null, err = unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0); err == nil {
		err = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "concert: supervise commands:", err)
		os.Exit(exitSetup)
	}
	s.children = openChildren()
	go s.reap()
	for range min(runtime.GOMAXPROCS(0), maxReceivers) {
		offMainThread(s.receive)
	}
	select {} // reap exits
}

// ignoreSignals ignores signals that end a program, because the runner decides
// when the supervisor ends. The jobs do not ignore them.
func ignoreSignals() {
	ignored := make(chan os.Signal, 1) // nothing receives
	for _, sig := range []os.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT} {
		if !signal.Ignored(sig) { // else jobs ignore it too, as under nohup
			signal.Notify(ignored, sig)
		}
	}
}

// offMainThread calls f in a goroutine with a thread of its own. This is not
// the first thread of the process, which gets the orphans as children.
func offMainThread(f func()) {
	started := make(chan bool)
	var try func()
	try = func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			go try() // while this goroutine has the first thread
			select {}
		}
		started <- true
		f()
		select {} // the kernel kills the jobs if their thread ends
	}
	go try()
	<-started
}
