package progress

import "time"

// BarText returns the line for a terminal with the given number of columns.
func BarText(done, total, columns int) string {
	c := &counts{total: total, noun: "files", finished: done}
	return c.look(time.Time{}).bar(columns)
}

// Coarse formats an estimate.
var Coarse = coarse
