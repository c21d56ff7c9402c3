//go:build !race

// Package race reports whether the race detector is part of the program. Tests
// need this, because the race detector makes programs several times slower,
// and changes their allocations.
package race

// Enabled reports whether the race detector is part of the program.
const Enabled = false
