package main

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// memoryFlag is an amount of memory on the command line, as 512M or 1.5G.
type memoryFlag struct {
	bytes int64
	set   bool
}

// String returns the amount in bytes.
func (m *memoryFlag) String() string { return strconv.FormatInt(m.bytes, 10) }

// Set parses an amount: a number and, unless it is in bytes, one of the units
// K, M, G and T, which are powers of 1024 and may be followed by B or iB.
func (m *memoryFlag) Set(text string) error {
	number, unit := strings.TrimRight(strings.ToUpper(text), "KMGTIB"), 1.0
	if rest := strings.ToUpper(text)[len(number):]; rest != "" {
		i := strings.Index("KMGT", rest[:1])
		if i < 0 || rest[1:] != "" && rest[1:] != "B" && rest[1:] != "IB" {
			return errors.New("want an amount of memory, as in 512M or 2G")
		}
		unit = math.Pow(1024, float64(i+1))
	}
	n, err := strconv.ParseFloat(number, 64)
	if n *= unit; err != nil || !(n >= 0 && n < 1<<62) {
		return errors.New("want an amount of memory, as in 512M or 2G")
	}
	m.bytes, m.set = int64(n), true
	return nil
}

// defaultMemory is the memory of each of n interpreters with so many threads:
// together they have three quarters of the machine's, but each has 1 GiB at
// least. The stack of a thread counts, even while it is empty.
func defaultMemory(machine int64, n, threads int) int64 {
	if machine == 0 {
		return 0
	}
	return max(1<<30, machine/4*3/int64(n)) + int64(threads)<<24
}
