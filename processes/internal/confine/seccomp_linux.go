package confine

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"unsafe"

	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/sys/unix"
)

// callFilter is a program for seccomp. The kernel runs the program at each
// system call. The program compares the number of the call, and for some
// calls the arguments, and returns an answer. This package uses only the
// tables of the seccomp library, and not its filters: if a filter of the
// library has long jumps, it allows calls whose conditions do not hold.
//
// The program is a sequence of blocks. A block ends with an answer. A jump
// skips instructions of the block that contains it, or the whole next block.
type callFilter struct{ code []unix.SockFilter }

// condition is a condition on one argument of a system call.
type condition struct {
	argument int // number of the argument, from 0
	test     test
	value    uint32
}

type test uint8

const (
	equals  test = iota // the whole argument is value
	hasAny              // at least one bit of value is set
	hasNone             // no bit of value is set
)

// Offsets in struct seccomp_data.
const (
	callAt     = 0
	machineAt  = 4
	argumentAt = 16
)

const (
	answerDenied  = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	answerUnknown = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
)

// load appends an instruction that loads a word of seccomp_data.
func (f *callFilter) load(at int) {
	f.code = append(f.code, unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: uint32(at)})
}

// answer appends an instruction that ends the program with the answer a.
func (f *callFilter) answer(a uint32) {
	f.code = append(f.code, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: a})
}

// jump appends an instruction that compares the loaded word with a value,
// and then skips some instructions. ifTrue and ifFalse are the numbers of
// skipped instructions.
func (f *callFilter) jump(how uint16, value uint32, ifTrue, ifFalse int) {
	if ifTrue > 255 || ifFalse > 255 {
		panic("processes: a block of a filter is too long")
	}
	f.code = append(f.code, unix.SockFilter{Code: unix.BPF_JMP | how | unix.BPF_K, K: value, Jt: uint8(ifTrue), Jf: uint8(ifFalse)})
}

// begin appends instructions that deny calls of other instruction sets, and
// load the number of the call.
func (f *callFilter) begin(table *arch.Info) {
	f.load(machineAt)
	f.jump(unix.BPF_JEQ, uint32(table.ID), 1, 0)
	f.answer(answerDenied)
	f.load(callAt)
	if table.ID == arch.X86_64.ID {
		f.jump(unix.BPF_JGE, uint32(arch.X32.SeccompMask), 0, 1)
		f.answer(answerUnknown)
	}
}

// call appends instructions that answer a call with a, for any arguments.
func (f *callFilter) call(number int, a uint32) {
	f.jump(unix.BPF_JEQ, uint32(number), 0, 1)
	f.answer(a)
}

// allowIf appends instructions for one system call. They allow the call if
// all conditions of at least one list hold, and otherwise deny it.
func (f *callFilter) allowIf(number int, lists ...[]condition) {
	var block callFilter
	for _, list := range lists {
		block.allowList(list)
	}
	block.answer(answerDenied)
	f.jump(unix.BPF_JEQ, uint32(number), 0, len(block.code))
	f.code = append(f.code, block.code...)
}

// allowList appends instructions that allow the call if all conditions hold.
// Otherwise the program continues after these instructions.
func (f *callFilter) allowList(list []condition) {
	left := 1 // number of instructions from the next one to the end of the list
	for _, c := range list {
		left += 2
		if c.test == equals {
			left += 2
		}
	}
	for _, c := range list {
		low := argumentAt + 8*c.argument // the low half is first: all machines in the tables are little endian
		f.load(low)
		left--
		switch c.test {
		case equals:
			left--
			f.jump(unix.BPF_JEQ, c.value, 0, left)
			f.load(low + 4)
			left -= 2
			f.jump(unix.BPF_JEQ, 0, 0, left)
		case hasAny:
			left--
			f.jump(unix.BPF_JSET, c.value, 0, left)
		case hasNone:
			left--
			f.jump(unix.BPF_JSET, c.value, left, 0)
		}
	}
	f.answer(unix.SECCOMP_RET_ALLOW)
}

// apply applies the filter to all threads of this process.
func (f *callFilter) apply() error {
	runtime.LockOSThread() // PR_SET_NO_NEW_PRIVS, which seccomp requires, is set for this thread
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	program := unix.SockFprog{Len: uint16(len(f.code)), Filter: &f.code[0]}
	thread, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	runtime.KeepAlive(f)
	if e != 0 {
		return e
	}
	if thread != 0 {
		return fmt.Errorf("thread %d could not be confined", thread)
	}
	return nil
}

// rules are the system calls that a confined worker may make: the calls in
// rules.some if their conditions hold, and all other calls that are in the
// table and not denied.
type rules struct {
	table *arch.Info
	some  map[string][][]condition // allowed if all conditions of at least one list hold
}

// filter returns the rules as a program. A filter cannot check the flags of
// clone3, because they are in memory. So the program answers as if the
// system did not have clone3. The C library then calls clone instead.
func (r rules) filter() *callFilter {
	f := new(callFilter)
	f.begin(r.table)
	for _, name := range slices.Sorted(maps.Keys(r.some)) {
		if number, known := r.table.SyscallNames[name]; known {
			f.allowIf(number, r.some[name]...)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.table.SyscallNames)) {
		number := r.table.SyscallNames[name]
		switch {
		case name == "clone3":
			f.call(number, answerUnknown)
		case !denied().MatchString(name):
			f.call(number, unix.SECCOMP_RET_ALLOW)
		}
	}
	f.answer(answerDenied)
	return f
}

// withoutTkill denies tkill, which can signal the threads of other processes.
func withoutTkill(table *arch.Info) *callFilter {
	f := new(callFilter)
	f.begin(table)
	if number, known := table.SyscallNames["tkill"]; known {
		f.call(number, answerDenied)
	}
	f.answer(unix.SECCOMP_RET_ALLOW)
	return f
}
