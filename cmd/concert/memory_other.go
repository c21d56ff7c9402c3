//go:build !linux

package main

// machineMemory is 0: the memory of a process cannot be limited here.
func machineMemory() int64 { return 0 }
