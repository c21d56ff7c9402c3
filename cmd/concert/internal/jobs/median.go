package jobs

import (
	"slices"
	"time"
)

// maxDurations is the maximum number of jobs for which durations computes the
// median.
const maxDurations = 1001

// minDurations is the number of jobs that are necessary for a median.
const minDurations = 3

// durations has the durations of the last successful jobs, at most
// maxDurations of them.
type durations struct {
	ring   []time.Duration // in the order of the jobs, from index next
	sorted []time.Duration
	next   int
}

// add adds the duration of a job.
func (d *durations) add(took time.Duration) {
	if len(d.ring) < maxDurations {
		d.ring = append(d.ring, took)
	} else {
		oldest := d.ring[d.next]
		d.ring[d.next] = took
		d.next = (d.next + 1) % maxDurations
		i, _ := slices.BinarySearch(d.sorted, oldest)
		d.sorted = slices.Delete(d.sorted, i, i+1)
	}
	i, _ := slices.BinarySearch(d.sorted, took)
	d.sorted = slices.Insert(d.sorted, i, took)
}

// median returns the median, or 0 if there are fewer than minDurations jobs.
func (d *durations) median() time.Duration {
	if len(d.sorted) < minDurations {
		return 0
	}
	return d.sorted[len(d.sorted)/2]
}
