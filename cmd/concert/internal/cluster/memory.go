package cluster

// defaultMemory returns the memory limit of each of n interpreters with so many
// threads. Together they get three quarters of the machine's memory, but each
// of them at least 1 GiB. The stack of a thread counts, even while it is empty.
func defaultMemory(machine int64, n, threads int) int64 {
	if machine == 0 {
		return 0
	}
	return max(1<<30, machine/4*3/int64(n)) + int64(threads)<<24
}
