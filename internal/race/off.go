//go:build !race

// Package race reports, for tests, whether the race detector is part of the
// program. The race detector makes programs several times slower, and changes
// their allocations.
package race

// Enabled reports whether the race detector is part of the program.
const Enabled = false
