package main

// defaultMemory is the memory of each of n interpreters with so many threads:
// together they have three quarters of the machine's, but each has 1 GiB at
// least. The stack of a thread counts, even while it is empty.
func defaultMemory(machine int64, n, threads int) int64 {
	if machine == 0 {
		return 0
	}
	return max(1<<30, machine/4*3/int64(n)) + int64(threads)<<24
}
