package choose

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"concert/internal/units"
)

// durationText returns a duration as text, in nanoseconds if it is very short.
func durationText(d time.Duration) string {
	switch {
	case d <= 0:
		return "0"
	case d < time.Microsecond:
		return fmt.Sprintf("%d ns", d.Nanoseconds())
	}
	return units.Duration(d)
}

// gainText returns a gain with its interval as text.
func gainText(g Interval) string {
	if g.Confidence == 0 {
		return units.Times(g.Median) + " (measured once)"
	}
	return fmt.Sprintf("%s (%s)", units.Times(g.Median), rangeText(g))
}

// rangeText returns the ends of an interval of a gain as text.
func rangeText(g Interval) string {
	return fmt.Sprintf("%s to %s", strings.TrimSuffix(units.Times(g.Low), "x"), strings.TrimSuffix(units.Times(g.High), "x"))
}

func percent(x float64) string {
	if x > 0 && x < 0.0095 {
		return "under 1%"
	}
	if x > 1 && x < 1.05 {
		x = 1 // x can be above 1 because the two clocks are not read at the same moment
	}
	return fmt.Sprintf("%.0f%%", 100*x)
}

// count returns a number with its noun.
func count(n int, noun string) string {
	return fmt.Sprintf("%d %s", n, plural(n, noun, noun+"s"))
}

// plural returns the form of a word for n things.
func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// joinAnd joins names with commas and "and".
func joinAnd(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// capitalize returns the text with a capital first letter.
func capitalize(s string) string {
	first, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(first)) + s[size:]
}

// errorLine returns the text of an error on one line, without control
// characters and at most 300 characters long.
func errorLine(err error) string {
	if err == nil {
		return ""
	}
	const maxLength = 300
	text := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(err.Error(), "?"))
	if runes := []rune(text); len(runes) > maxLength {
		text = string(runes[:maxLength]) + "..."
	}
	return strings.TrimSpace(text)
}
