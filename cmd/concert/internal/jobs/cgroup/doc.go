// Package cgroup runs jobs in control groups of version 2, where this process
// may make such groups. It is for Linux only.
//
// # Model
//
// A control group is a directory of the file system cgroup2. If a member of a
// group starts a process, this process is a member, too. It can leave the
// group only if it may write to another group. So a group contains all
// processes of a job, and one write kills them.
//
//	BASE                     a group that this process may manage
//	BASE/concert-RUN-0       the groups of a run: Tree
//	BASE/concert-RUN-0/1     the group of a job, and then of the next job: Group
//	BASE/concert-RUN-0/2
//	BASE/concert-RUN-0.self  this process; only if BASE must have no processes
//
// # Which group is managed
//
// Only systemd may change the groups that it makes, except below a group that
// it has delegated, as with Delegate=yes. A delegated group has the attribute
// user.delegate. If the group of this process has the attribute, this group is
// BASE. With DelegateSubgroup, the group above it has the attribute, and is
// BASE. A process in the root group uses the root group as BASE, if the process
// may make directories there. In a container, the root group is the root of the
// namespace of the container.
//
// # Limits
//
// The memory of groups can be limited if BASE has the memory controller. A
// group whose children have controllers must not contain processes itself,
// except for the root group of the system. So if this process is the only one
// in BASE, it moves to a group of its own, and moves back at the end. Other
// processes are never moved: if BASE contains any, the groups have no limits.
//
// # The end
//
// A keeper is a shell that waits until the runner and the supervisor of the
// jobs have ended, in any way. It kills what is left in the groups, and
// removes them. If the keeper is killed, too, the next run does both. It finds
// the directories of dead runs by their locks: a living runner holds a lock on
// its directory.
//
// Groups are used again, because it takes longer to make a group than to start
// a small program. A group is not used again if it was killed, or if its job
// has changed it.
package cgroup
