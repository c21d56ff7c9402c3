package cli

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// Memory is a flag for an amount of memory, such as 512M or 1.5G.
type Memory struct {
	Bytes int64
	IsSet bool
}

// String returns the amount in bytes.
func (m *Memory) String() string { return strconv.FormatInt(m.Bytes, 10) }

// Set parses an amount: a number, and one of the units K, M, G and T. Without a
// unit, the number is in bytes. The units are powers of 1024. B or iB may
// follow the unit.
func (m *Memory) Set(text string) error {
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
	m.Bytes, m.IsSet = int64(n), true
	return nil
}
