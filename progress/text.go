package progress

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"concert/internal/units"
)

// text returns the view in words: "21 of 50 files, 2 failed, 1 GB of 4 GB
// (25%), 3.2 MB/s, 12 s left".
func (v view) text() string { return v.words(true) }

// words returns the view in words, with or without the amounts.
func (v view) words(amounts bool) string {
	var parts []string
	c := v.counts
	if c.total > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d %s", v.done, c.total, c.noun))
	} else {
		parts = append(parts, fmt.Sprintf("%d %s, %d running", v.done, c.noun, v.running))
	}
	if v.failed > 0 {
		parts = append(parts, v.failures())
	}
	if amounts && v.all.total > 0 {
		parts = append(parts, fmt.Sprintf("%s of %s (%.0f%%)", c.unit(v.all.done), c.unit(v.all.total), 100*v.share))
	}
	if c.unit != nil {
		parts = append(parts, c.unit(int64(v.rate))+"/s")
	}
	if left := v.left(); left > 0 {
		parts = append(parts, coarse(left)+" left")
	}
	return strings.Join(parts, ", ")
}

// closing returns the view at the end, in words.
func (v view) closing() string {
	c := v.counts
	s := fmt.Sprintf("%d %s", v.done-v.failed, c.noun)
	if c.total > 0 {
		s = fmt.Sprintf("%d of %d %s", v.done-v.failed, c.total, c.noun)
	}
	s += " in " + Duration(v.took)
	if c.unit != nil && v.moved > 0 {
		s += ", " + c.unit(v.moved)
	}
	if v.failed > 0 {
		s += ", " + v.failures()
	}
	return s
}

const (
	shortestBar = 10 // columns; a narrower terminal gets no bar
	longestBar  = 30
)

// bar returns the text, with a bar before it if the total is known and the
// terminal is wide enough. On a narrow terminal, the text has no amounts.
func (v view) bar(columns int) string {
	text := v.text()
	// The last column stays empty, because terminals use it in different ways.
	roomFor := func(text string) int { return columns - 1 - utf8.RuneCountInString(text) - len("[]  ") }
	room := roomFor(text)
	if room < shortestBar {
		text = v.words(false)
		room = roomFor(text)
	}
	if width := min(room, longestBar); v.counts.total > 0 && width >= shortestBar {
		full := int(v.share * float64(width))
		bar := strings.Repeat("=", full)
		if full < width {
			bar += ">" + strings.Repeat(" ", width-full-1)
		}
		return "[" + bar + "]  " + text
	}
	if r := []rune(text); len(r) > columns-1 {
		return string(r[:max(0, columns-1)])
	}
	return text
}

// Bytes formats an amount of bytes with three digits and a decimal prefix, as
// in "3.21 MB". It is meant for Options.Unit.
func Bytes(n int64) string { return units.Bytes(n) }

// Duration formats a duration with three digits, as in "12.3 ms" or "4.56 s",
// and from one minute up as in "2m5s".
func Duration(d time.Duration) string { return units.Duration(d) }

// coarse formats an estimated duration with few digits.
func coarse(d time.Duration) string {
	switch {
	case d < 100*time.Second:
		return fmt.Sprintf("%.0f s", max(1, d.Seconds()))
	case d < 100*time.Minute:
		return fmt.Sprintf("%.0f min", d.Minutes())
	case d < 100*time.Hour:
		return fmt.Sprintf("%.0f h", d.Hours())
	}
	return fmt.Sprintf("%.0f days", d.Hours()/24)
}
