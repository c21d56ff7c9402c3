//go:build unix

package loop_test

import "syscall"

// descriptors raises the limit of open files of the process to n, if possible,
// and returns the limit.
func descriptors(n int) int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	if int(limit.Cur) < n {
		more := limit
		more.Cur = min(uint64(n), uint64(limit.Max))
		if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &more) == nil {
			limit = more
		}
	}
	if int(limit.Cur) < n { // root may raise the limit
		more := syscall.Rlimit{Cur: uint64(n), Max: uint64(n)}
		if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &more) == nil {
			limit = more
		}
	}
	return int(min(limit.Cur, 1<<30))
}
