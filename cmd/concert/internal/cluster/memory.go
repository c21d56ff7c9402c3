package cluster

// defaultMemory returns the memory limit of each of n interpreters with the
// given number of threads. All interpreters together get three quarters of the
// memory of the machine, but each interpreter gets at least 1 GiB. For each
// thread, defaultMemory adds 16 MiB, because the stack of a thread counts even
// while it is empty.
func defaultMemory(machine int64, n, threads int) int64 {
	if machine == 0 {
		return 0
	}
	return max(1<<30, machine/4*3/int64(n)) + int64(threads)<<24
}
