package dashboard

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
	"time"
)

// function has the numbers of the tasks of one function.
type function struct {
	done, failed int64
	times        times
}

// times counts durations in buckets: eight for each power of two, so a quantile
// is wrong by at most 6%.
type times struct {
	counts [400]uint32
	total  uint32
}

// bucketOf returns the bucket of a duration. The first eight buckets are one
// nanosecond wide.
func bucketOf(d time.Duration) int {
	n := uint64(max(d, 0))
	if n < 8 {
		return int(n)
	}
	shift := bits.Len64(n) - 4
	return min(8*shift+int(n>>shift), len(times{}.counts)-1)
}

// middle returns the middle of a bucket.
func middle(i int) time.Duration {
	if i < 16 {
		return time.Duration(i)
	}
	shift := i/8 - 1
	low := uint64(i%8+8) << shift
	return time.Duration(low + 1<<shift/2)
}

func (t *times) add(d time.Duration) {
	t.counts[bucketOf(d)]++
	t.total++
}

func (t *times) merge(from *times) {
	for i, n := range from.counts {
		t.counts[i] += n
	}
	t.total += from.total
}

// quantile returns the quantile q of the durations, for q from 0 to 1, like
// [concert.Histogram.Quantile]. It returns 0 if there are no durations.
func (t *times) quantile(q float64) time.Duration {
	rank := uint32(max(0, math.Ceil(q*float64(t.total))-1)) // the rank counts from 0
	for i, n := range t.counts {
		if n > rank {
			return middle(i)
		}
		rank -= n
	}
	return 0
}

// longest returns the middle of the bucket with the longest duration.
func (t *times) longest() time.Duration {
	for i := len(t.counts) - 1; i >= 0; i-- {
		if t.counts[i] > 0 {
			return middle(i)
		}
	}
	return 0
}

// functions has the numbers of all functions since the page was opened.
type functions struct{ byName map[string]*counted }

// counted has the numbers of a function. They are estimates if the observer has
// seen only some tasks.
type counted struct {
	done, failed float64
	times        times
}

// others is the name for functions beyond maxFunctions.
const others = "other functions"

// add adds the numbers that were seen in a period. Each task counts as factor
// tasks.
func (f *functions) add(seen map[string]*function, factor float64) {
	if f.byName == nil {
		f.byName = map[string]*counted{}
	}
	for name, s := range seen {
		to := f.byName[name]
		if to == nil {
			if len(f.byName) >= maxFunctions {
				name = others
			}
			if to = f.byName[name]; to == nil {
				to = &counted{}
				f.byName[name] = to
			}
		}
		to.done += factor * float64(s.done)
		to.failed += factor * float64(s.failed)
		to.times.merge(&s.times)
	}
}

// rows returns the rows of the table, the functions with the most tasks first.
func (f *functions) rows() []functionRow {
	rows := make([]functionRow, 0, len(f.byName))
	for name, c := range f.byName {
		rows = append(rows, functionRow{
			Name: name, Done: int64(c.done + 0.5), Failed: int64(c.failed + 0.5),
			P50: micros(c.times.quantile(0.5)), P95: micros(c.times.quantile(0.95)), P99: micros(c.times.quantile(0.99)), Max: micros(c.times.longest()),
		})
	}
	slices.SortFunc(rows, func(a, b functionRow) int { return cmp.Or(cmp.Compare(b.Done, a.Done), cmp.Compare(a.Name, b.Name)) })
	return rows
}

// micros returns a duration in microseconds, with three digits after the point.
func micros(d time.Duration) float64 { return float64(d) / 1e3 }
