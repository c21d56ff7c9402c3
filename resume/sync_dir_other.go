//go:build !unix

package resume

// syncDir does nothing, because this system has no sync of directories.
func syncDir(string) error { return nil }
