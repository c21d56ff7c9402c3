package choose

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"concert/internal/units"
)

// length is a time, which may be that of something tiny.
func length(d time.Duration) string {
	switch {
	case d <= 0:
		return "0"
	case d < time.Microsecond:
		return fmt.Sprintf("%d ns", d.Nanoseconds())
	}
	return units.Duration(d)
}

// spelled is a gain with its interval.
func spelled(g Interval) string {
	if g.Confidence == 0 {
		return units.Times(g.Median) + " (measured once)"
	}
	return fmt.Sprintf("%s (%s to %s)", units.Times(g.Median), strings.TrimSuffix(units.Times(g.Low), "x"), strings.TrimSuffix(units.Times(g.High), "x"))
}

// percent is a share.
func percent(x float64) string {
	if x > 0 && x < 0.0095 {
		return "under 1%"
	}
	if x > 1 && x < 1.05 {
		x = 1 // two clocks are not read at the same time
	}
	return fmt.Sprintf("%.0f%%", 100*x)
}

func count(n int, noun string) string {
	return fmt.Sprintf("%d %s", n, plural(n, noun, noun+"s"))
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// list joins names with commas and an "and".
func list(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

func capital(s string) string {
	first, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(first)) + s[size:]
}

// said is what an error says, in a line, without what a terminal could take for
// commands.
func said(err error) string {
	if err == nil {
		return ""
	}
	const most = 300
	text := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(err.Error(), "?"))
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "..."
	}
	return strings.TrimSpace(text)
}
