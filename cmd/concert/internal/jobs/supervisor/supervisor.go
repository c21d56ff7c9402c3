// Package supervisor runs commands. When a command has ended, no process that
// it has started remains.
//
// # Model
//
// The runner is the process that calls Start and Run. A job is one command with
// everything that the command starts. The supervisor is one more process, of
// the same program, which starts and ends the jobs:
//
//	runner                          supervisor (own session)
//	Run --start, with the files-->  receivers --fork, exec--> job (own process group)
//	    --cancel----------------->  receivers --SIGTERM, then SIGKILL--> job
//	read <--failed----------------  receivers (the command could not start)
//	read <--ended-----------------  reap <--wait-- job, and its orphans
//	                                 \--fork, exec--> the next job that waits
//	     one socket, a message in a packet
//
// Options.Slots limits the number of jobs that run at the same time. Further
// jobs wait in the supervisor. When a job ends, the next job starts without a
// message of the runner, so no processor is idle in between. The runner can
// take back a job that has not started. The comment of request has the states.
//
// The supervisor is a child subreaper: if a process below it dies, the
// children of this process, now orphans, become children of the supervisor. So
// all descendants of all jobs are always descendants of the supervisor, even
// if they leave their process group or their session.
//
// Where this process may make control groups, each job has one: see package
// cgroup. Then the kernel knows which processes belong to a job. Rules 2 and 3
// are needed only if the kernel does not let commands start in a group.
//
// # Rules
//
//  1. A job ends together with its descendants. When the command ends, the
//     supervisor kills the process group, and then the orphans of the job until
//     none is left. Only then does Run return. If the context of Run ends, the
//     group gets SIGTERM first. If this ends the command, its orphans have the
//     rest of the grace.
//  2. An orphan belongs to the job of its process group. If the orphan has left
//     that group, it belongs to the job in its environment: the variable
//     CONCERT_JOB of each job is the random name of the run, a dot, and the
//     number of the job. When an orphan is killed, its descendants belong to
//     the same job.
//  3. An orphan with neither is a stray. It belongs to one of the jobs that
//     were running when the supervisor first saw it. It is killed when all of
//     these jobs have ended.
//  4. If the runner dies, the socket ends. The supervisor kills all its
//     descendants, and exits.
//  5. If the supervisor dies, its children become children of the runner, which
//     is a subreaper too. The runner kills them. All running jobs fail with
//     ErrDied.
//  6. Only children and their process groups are killed. The pid of a child is
//     not used again before the child is reaped, so no other process is killed
//     by accident.
//
// The usual job has no orphans. The supervisor finds this out by reading one
// file. The kernel makes orphans children of the first thread, and the jobs
// are children of other threads. The file in /proc lists the children of the
// first thread.
//
// # Corners
//
// A process that may not be killed, such as one of sudo, and a stray of other
// jobs may survive a job. Result.Survivors counts them. A child that a command
// makes with CLONE_PARENT, and that leaves the group, is not an orphan. It is
// killed at the end of the run.
//
// If the supervisor is killed, an orphan remains if it has left its session
// and has no variable CONCERT_JOB. If the runner and the supervisor are killed
// at the same moment, the kernel kills the commands, but not their
// descendants. If there are control groups, no process remains in either case.
//
// A program that is started from a file system that does not answer makes the
// supervisor wait, because Go cannot interrupt the start of a process.
//
// If a runner is itself a job of another run, the variable CONCERT_JOB has the
// names of both jobs, separated by a slash.
//
// Jobs inherit the open files above 2 that the runner has inherited, such as
// the pipe of a parallel make. All files of the runner itself are closed.
//
// Jobs have no controlling terminal. A program that asks for a password fails
// at once, and Ctrl-C sends no signal to a job: the runner decides.
//
// Other Unix systems have no subreapers. There, the runner starts the jobs
// itself, and kills their process groups. On Windows, Start returns an error.
package supervisor

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// ErrClosed is the error of a job that Close has killed, and of a job that is
// started after Close.
var ErrClosed = errors.New("the supervisor of the commands was closed")

// ErrHeld is the error of a job that does not start because of Hold, or because
// its context ended while it waited for a slot.
var ErrHeld = errors.New("the job was not started, because the run is ending")

// ErrDied is the error of jobs that were running when the supervisor died, and
// of later jobs.
var ErrDied = errors.New("the process that supervises the commands died")

// A StartError is the error of a job whose command could not start.
type StartError struct {
	Program string // Job.Args[0]
	Reason  string // the reason in words, and what to do
	Err     error
}

// Error names the program and the reason.
func (e *StartError) Error() string {
	return fmt.Sprintf("cannot start %q: %s", e.Program, e.Reason)
}

// Unwrap returns the cause: exec.ErrNotFound, exec.ErrDot, or a syscall.Errno.
func (e *StartError) Unwrap() error { return e.Err }

// Options are the options of Start. Zero values stand for the defaults.
type Options struct {
	// Grace is the time between SIGTERM and SIGKILL if the context of a job
	// ends. All processes of the job have this time, because a shell usually
	// ends before its children. The default is 5 seconds. A negative number
	// means no SIGTERM.
	Grace time.Duration

	// Slots is the maximum number of jobs that run at the same time. Further
	// jobs wait in the supervisor. They start in the order in which they came,
	// each as soon as a running job has ended. Zero means that each job starts
	// at once.
	Slots int

	// Memory is a limit in bytes. If there are control groups, it limits the
	// memory of all processes of a job together. Otherwise it limits the data
	// of each process of a job (RLIMIT_DATA).
	Memory int64

	// CPU limits the processor time of each process of a job. It is rounded up
	// to seconds (RLIMIT_CPU).
	CPU time.Duration

	noGroups bool // for tests: no control groups
}

// A Job is a command to run.
type Job struct {
	// Args are the program and its arguments. A program without a slash is
	// found in PATH of the runner.
	Args []string

	// Dir is the directory of the command. The default is the directory that
	// the runner had when it called Start. A relative path starts at this
	// directory.
	Dir string

	// Env has variables in the form "NAME=value". The command also gets the
	// other variables that the runner had when it called Start.
	Env []string

	// Stdin, Stdout and Stderr are given to the command itself. nil stands for
	// /dev/null. They can be closed when Run has returned.
	Stdin, Stdout, Stderr *os.File

	// OnSend, if not nil, is called when the job was sent to the supervisor.
	// If Options.Slots is set, jobs of later calls of Run cannot start before
	// this job. OnSend is not called after an earlier error.
	OnSend func()

	// OnStart, if not nil, is called when the job has a slot and starts, and
	// before Run returns. It must not block, because other jobs wait for it.
	// It is not called after an earlier error.
	OnStart func()
}

// A Result says how a command ended.
type Result struct {
	ExitCode int            // -1 if a signal killed the command
	Signal   syscall.Signal // 0 if the command exited by itself

	// Start and End are the times at which the command started and ended.
	// Their difference is right even if the clock was changed.
	Start, End time.Time

	// UserCPU and SystemCPU are the processor time of the command, of the
	// children that it has waited for, and of its orphans.
	UserCPU, SystemCPU time.Duration

	// PeakMemory is the peak of the resident memory of one process, in bytes.
	// PeakMemory is 0 if the peak is below the memory of the supervisor, which
	// is about 20 MB. The kernel does not show such a peak.
	PeakMemory int64

	// Orphans is the number of descendants that outlived the command and were
	// killed.
	Orphans int

	// Survivors is the number of processes that may belong to the job and may
	// still run, with its files open. It is usually 0.
	Survivors int

	// CPULimit reports whether Options.CPU ended the job.
	CPULimit bool

	// MemoryLimit reports whether Options.Memory ended a process of the job.
	// It is always false if there are no control groups.
	MemoryLimit bool
}
