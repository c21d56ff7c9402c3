package cmdline

// Nearest returns the name that was probably meant by a misspelled one: the
// candidate with the fewest changes. A change inserts, deletes or replaces a
// character, or exchanges two neighbors. A name of three or four characters may
// have one change, and a longer name two. Nearest returns "" if no candidate is
// near enough.
func Nearest(name string, candidates []string) (nearest string) {
	limit := 2
	if len(name) < 5 {
		limit = 1
	}
	if len(name) < 3 || len(name) > 100 {
		return ""
	}
	for _, c := range candidates {
		if d := changes(name, c); d <= limit && (nearest == "" || d < limit) {
			nearest, limit = c, d
		}
	}
	return nearest
}

// changes returns the number of changes that turn a into b (the distance of
// Damerau and Levenshtein, where no part of a text changes twice).
func changes(a, b string) int {
	var before, above []int // the two rows before the current one
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before, above, row = above, row, make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			replaced := above[j]
			if a[i] != b[j] {
				replaced++
			}
			row[j+1] = min(replaced, above[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}
