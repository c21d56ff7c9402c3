package cluster_test

import (
	"context"
	"path/filepath"
	"sync/atomic"
	"testing"

	"concert"
	"concert/cluster"
	"concert/goroutines"
	"concert/resume"
)

var recordedCalls [60]atomic.Int64 // by input

var recordedSquare = concert.Register("cluster_test.recordedSquare", func(_ context.Context, n int) (int, error) {
	recordedCalls[n].Add(1)
	return n * n, nil
})

// TestResumeMap: a Map with a journal must continue on a cluster, and must not
// call the function again for a result that was yielded.
func TestResumeMap(t *testing.T) {
	for i := range recordedCalls {
		recordedCalls[i].Store(0)
	}
	s := embedded(t, "")
	access := cluster.Access{InProcess: s}
	serveOn(t, access, goroutines.New(2, nil))
	ex := dial(t, access)
	path := filepath.Join(t.TempDir(), "journal")
	for round := range 3 {
		j, err := resume.Open(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		i := 0
		for got, err := range resume.Map(t.Context(), ex, j, recordedSquare, upTo(len(recordedCalls))) {
			if err != nil || got != i*i {
				t.Fatalf("result %d: %d, %v", i, got, err)
			}
			if i++; i == 20 && round == 0 {
				break
			}
		}
		if round > 0 && i != len(recordedCalls) || j.Len() < i {
			t.Errorf("round %d: %d results, %d records", round, i, j.Len())
		}
		j.Close()
	}
	for i := range 20 { // the inputs whose results were yielded before the first loop ended
		if calls := recordedCalls[i].Load(); calls != 1 {
			t.Errorf("input %d was called %d times", i, calls)
		}
	}
}
