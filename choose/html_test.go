package choose_test

import (
	"bytes"
	"context"
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
