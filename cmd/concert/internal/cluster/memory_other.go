//go:build !linux

package cluster

// machineMemory returns 0: the memory of a process cannot be limited here.
func machineMemory() int64 { return 0 }
