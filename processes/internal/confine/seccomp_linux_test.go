package confine

import (
	"fmt"
	"testing"

	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/sys/unix"
)

// systemCall is the input of a filter.
type systemCall struct {
	number  int
	machine uint32
	args    [6]uint64
}

// run interprets the filter as the kernel does.
func (f *callFilter) run(c systemCall) (uint32, error) {
	var a uint32
	for pc := 0; pc < len(f.code); pc++ {
		switch in := f.code[pc]; in.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			switch {
			case in.K == callAt:
				a = uint32(c.number)
			case in.K == machineAt:
				a = c.machine
			case in.K >= argumentAt && in.K < argumentAt+6*8 && in.K%4 == 0:
				a = uint32(c.args[(in.K-argumentAt)/8] >> (8 * (in.K % 8)))
			default:
				return 0, fmt.Errorf("a load at %d", in.K)
			}
		case unix.BPF_RET | unix.BPF_K:
			return in.K, nil
		default:
			holds := false
			switch in.Code {
			case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
				holds = a == in.K
			case unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K:
				holds = a >= in.K
			case unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K:
				holds = a&in.K != 0
			default:
				return 0, fmt.Errorf("an instruction %#x", in.Code)
			}
			if holds {
				pc += int(in.Jt)
			} else {
				pc += int(in.Jf)
			}
		}
	}
	return 0, fmt.Errorf("the program does not end with an answer")
}

// answerOf returns the answer for a call according to the rules. It does not
// use the compiled program.
func (r rules) answerOf(c systemCall) uint32 {
	name, known := r.table.SyscallNumbers[c.number]
	lists, some := r.some[name]
	switch {
	case r.table.ID == arch.X86_64.ID && c.number >= arch.X32.SeccompMask, name == "clone3":
		return answerUnknown
	case !known || !some && denied().MatchString(name):
		return answerDenied
	case !some:
		return unix.SECCOMP_RET_ALLOW
	}
	for _, list := range lists {
		all := true
		for _, cond := range list {
			v := c.args[cond.argument]
			switch cond.test {
			case equals:
				all = all && v == uint64(cond.value)
			case hasAny:
				all = all && uint32(v)&cond.value != 0
			case hasNone:
				all = all && uint32(v)&cond.value == 0
			}
		}
		if all {
			return unix.SECCOMP_RET_ALLOW
		}
	}
	return answerDenied
}

// TestCallFilter: for each system call on all machines, the compiled program
// must give the answer of the rules. The test tries all arguments that a rule
// names, and others.
func TestCallFilter(t *testing.T) {
	for _, table := range []*arch.Info{arch.X86_64, arch.AARCH64, arch.I386, arch.ARM} {
		for _, memory := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, memory %v", table.Name, memory), func(t *testing.T) {
				const pid = 4711
				r := (&Restrictions{limitedMemory: memory}).rules(table, pid)
				f := r.filter()
				if len(f.code) > 4096 {
					t.Errorf("%d instructions; the kernel accepts at most 4096", len(f.code))
				}
				values := map[uint64]bool{0: true, 1: true, 1<<31 - 1: true, 1 << 31: true, 1<<32 - 1: true, 1<<64 - 1: true}
				for _, lists := range r.some {
					for _, list := range lists {
						for _, c := range list {
							v := uint64(c.value)
							for _, w := range []uint64{v, v - 1, v + 1, v | 1<<32, v | 1<<63, v ^ 1<<31} {
								values[w] = true
							}
						}
					}
				}
				for flags := range uint64(1 << 10) { // of mmap, and some of clone
					values[flags] = true
				}
				for flags := range uint64(1 << 8) {
					values[flags<<9] = true
				}
				tried := 0
				try := func(c systemCall) {
					t.Helper()
					tried++
					got, err := f.run(c)
					if want := r.answerOf(c); got != want || err != nil {
						t.Errorf("%s%x: %#x, %v; want %#x", table.SyscallNumbers[c.number], c.args, got, err, want)
					}
				}
				for number := range 1000 {
					c := systemCall{number: number, machine: uint32(table.ID)}
					try(c)
					if r.some[table.SyscallNumbers[number]] == nil {
						continue
					}
					for v := range values {
						for i := range c.args {
							c.args = [6]uint64{}
							c.args[i] = v
							try(c)
						}
					}
				}
				try(systemCall{number: 1<<30 | 9, machine: uint32(table.ID)})
				if got, _ := f.run(systemCall{machine: uint32(table.ID) + 1}); got != answerDenied {
					t.Errorf("a call of another machine: %#x", got)
				}
				t.Logf("%d calls, %d instructions", tried, len(f.code))
			})
		}
	}
	t.Run("tkill", func(t *testing.T) {
		for _, table := range []*arch.Info{arch.X86_64, arch.AARCH64, arch.I386, arch.ARM} {
			t.Run(table.Name, func(t *testing.T) {
				f := withoutTkill(table)
				for number := range 600 {
					want := uint32(unix.SECCOMP_RET_ALLOW)
					if table.SyscallNumbers[number] == "tkill" {
						want = answerDenied
					}
					if got, err := f.run(systemCall{number: number, machine: uint32(table.ID)}); got != want || err != nil {
						t.Errorf("%s: %s: %#x, %v; want %#x", table.Name, table.SyscallNumbers[number], got, err, want)
					}
				}
			})
		}
	})
}

// TestDenied: the pattern of denied system calls must match each system call
// that the documentation of the sandbox promises to deny.
func TestDenied(t *testing.T) {
	for _, name := range []string{
		"fork", "vfork", "execve", "execveat", "memfd_create", "memfd_secret", "vmsplice", "splice", "tee", "sendfile", "sendfile64", "shmget", "shmat", "mmap", "mmap2", "madvise", "remap_file_pages",
		"socket", "connect", "io_uring_setup", "ptrace", "process_vm_readv", "process_madvise", "mount", "unshare", "setns", "bpf", "userfaultfd",
		"keyctl", "mq_open", "msgget", "semget", "chmod", "fchmodat2", "lchown", "setxattrat", "kill", "tgkill", "pidfd_send_signal", "perf_event_open",
	} {
		if !denied().MatchString(name) {
			t.Errorf("%s is not denied", name)
		}
	}
}
