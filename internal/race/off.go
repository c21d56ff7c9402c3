//go:build !race

// Package race tells tests whether the race detector is part of the program. It
// makes programs several times slower, and changes what they allocate.
package race

// Enabled reports whether the race detector is part of the program.
const Enabled = false
