package progress

import "time"

// BarText is the line of a terminal of that many columns.
func BarText(done, total, columns int) string {
	c := &counts{total: total, noun: "files", finished: done}
	return c.look(time.Time{}).bar(columns)
}

// Coarse is how an estimate looks.
var Coarse = coarse
