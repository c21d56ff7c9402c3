package choose_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"concert/choose"
	"concert/internal/page/pagetest"
)

// TestReport_HTML: a browser must show the page of a report without text that
// is cut off or hard to read.
func TestReport_HTML(t *testing.T) {
	var page bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		server := make(slots, 20)
		work := func(_ context.Context, n int) (int, error) {
			server.use(time.Duration(20+n%3) * time.Millisecond)
			return n, nil
		}
		report, err := choose.Run(t.Context(), work, []int{1, 2, 3}, []choose.Model{choose.Sequential(), onGoroutines(), underLock()}, nil)
		if err != nil {
			t.Fatal(err)
		}
		// The name contains markup.
		if err := report.HTML(&page, `<script>alert("work")</script> & more`); err != nil {
			t.Fatal(err)
		}
	})
	pagetest.Check(t, page.String())
}

// TestReport_Headline: a page must begin with the recommendation, and the
// recommendation with the concurrency.
func TestReport_Headline(t *testing.T) {
	gain := choose.Interval{Median: 2.2, Low: 1.88, High: 2.5, Confidence: 0.95}
	for want, r := range map[string]choose.Report{
		"4 to 8 tasks with processes: 2.2x (1.88 to 2.5)": {
			Verdict: choose.Verdict{Model: "processes", Concurrency: 4, EqualUpTo: 8, Gain: gain},
		},
		"16 or more tasks with goroutines: 2.2x (1.88 to 2.5)": {
			Kind:    choose.KindVerdict{Kind: choose.IOBound},
			Verdict: choose.Verdict{Model: "goroutines", Concurrency: 16, EqualUpTo: 16, Rising: true, Gain: gain},
		},
		"2 tasks with processes: not measured": {
			Kind:    choose.KindVerdict{Kind: choose.CPUBound},
			Verdict: choose.Verdict{Model: "processes", Concurrency: 2, EqualUpTo: 2},
		},
		"Sequential execution: concurrency gains nothing": {
			Verdict: choose.Verdict{Model: "sequential execution", Concurrency: 1, EqualUpTo: 1, Gain: gain},
		},
	} {
		t.Run(want, func(t *testing.T) {
			var page bytes.Buffer
			if err := r.HTML(&page, "work"); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(page.String(), `<p class="answer">`+want+`</p>`) {
				t.Errorf("the page does not begin with %q: %s", want, page.String())
			}
		})
	}
}
