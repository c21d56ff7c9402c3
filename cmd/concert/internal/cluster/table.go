package cluster

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

const (
	statusColumns = 80
	minCut        = 4 // the columns of a table that are cut keep this width
	ellipsis      = "…"
)

// table is a table with a header, whose lines have at most statusColumns
// columns.
type table struct {
	header []string
	rows   [][]string
	cut    []int // the columns of the table that may be cut; of equally wide columns, the first one is cut
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// print prints the table. It prints nothing if the table has no rows. A column
// without texts is left out.
func (t *table) print(out io.Writer) {
	if len(t.rows) == 0 {
		return
	}
	widths := make([]int, len(t.header))
	for i := range widths {
		for _, row := range t.rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
		if widths[i] > 0 {
			widths[i] = max(widths[i], utf8.RuneCountInString(t.header[i]))
		}
	}
	for t.width(widths) > statusColumns {
		widest := -1
		for _, i := range t.cut {
			if widths[i] > minCut && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
	}
	for _, row := range append([][]string{t.header}, t.rows...) {
		line := ""
		for i, cell := range row {
			if widths[i] > 0 {
				cell = shortened(cell, widths[i])
				line += "  " + cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			}
		}
		fmt.Fprintln(out, strings.TrimRight(line, " "))
	}
}

// width returns the width of a line: two blanks stand before each column.
func (t *table) width(widths []int) (n int) {
	for _, w := range widths {
		if w > 0 {
			n += 2 + w
		}
	}
	return n
}

// shortened cuts a text to a number of columns. An ellipsis shows that it was
// cut.
func shortened(text string, columns int) string {
	if utf8.RuneCountInString(text) <= columns {
		return text
	}
	return string([]rune(text)[:columns-1]) + ellipsis
}
