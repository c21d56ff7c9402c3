//go:build !linux && !darwin

package get

// checkWritable does nothing: if the directory is read-only, the first download
// returns the error.
func checkWritable(string) error { return nil }
