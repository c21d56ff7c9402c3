//go:build !linux

package processes_test

func beProgram() {}
