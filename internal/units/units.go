// Package units formats measured numbers with three digits and a unit.
package units

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Bytes formats a number of bytes, as in "3.21 MB".
func Bytes(n int64) string {
	const unit = 1000
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	f, i := float64(n)/unit, 0
	for ; f >= 999.5 && i < 5; i++ {
		f /= unit
	}
	return fmt.Sprintf("%.3g %cB", f, "kMGTPE"[i])
}

// Duration formats a duration, as in "12.3 ms", "4.56 s" or "2m5s".
func Duration(d time.Duration) string {
	if d >= time.Minute {
		return d.Round(time.Second).String()
	}
	f, i := float64(d)/float64(time.Microsecond), 0
	for ; f >= 999.5 && i < 2; i++ {
		f /= 1000
	}
	return fmt.Sprintf("%.3g %s", f, [...]string{"us", "ms", "s"}[i])
}

// Times formats a factor, as in "1.93x", "28.4x" or "256x".
func Times(x float64) string {
	digits := 1
	switch {
	case x < 1.995:
		digits = 2
	case x >= 99.95:
		digits = 0
	}
	return strconv.FormatFloat(x, 'f', digits, 64) + "x"
}

// Number formats a positive number, as in "0.25", "16.1", "3,210" or "3.21
// million".
func Number(x float64) string {
	switch {
	case x >= 1e9:
		return digits(x/1e9) + " billion"
	case x >= 1e6:
		return digits(x/1e6) + " million"
	case x >= 1000:
		s := strconv.Itoa(int(math.Round(x)))
		return s[:len(s)-3] + "," + s[len(s)-3:]
	}
	return digits(x)
}

// digits formats a positive number with three digits, without zeros at the end
// of the fraction.
func digits(x float64) string {
	if x <= 0 || math.IsInf(x, 0) || math.IsNaN(x) {
		return "0"
	}
	after := max(0, 2-int(math.Floor(math.Log10(x))))
	s := strconv.FormatFloat(x, 'f', min(after, 6), 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}
