//go:build !linux

package download

// bootID returns "", because this system has no such identifier that Go can
// read.
func bootID() string { return "" }
