//go:build !linux && !darwin

package download

import "os"

// setAttribute does nothing, because this system has no extended attributes
// that package golang.org/x/sys can write in the same way.
func setAttribute(*os.File, string, []byte) {}

// getAttribute returns nil.
func getAttribute(string, string) []byte { return nil }
