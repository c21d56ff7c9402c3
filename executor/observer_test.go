package executor_test

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"concert"
	"concert/goroutines"
	"concert/internal/logtest"
)

// TestObserver_LoggedOnce: the first failure of an observer is logged, with the
// event, and later failures are not.
func TestObserver_LoggedOnce(t *testing.T) {
	defer slog.SetDefault(slog.Default())
	var log logtest.Buffer
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	synctest.Test(t, func(t *testing.T) {
		ex := goroutines.New(1, &goroutines.Options{Observer: func(concert.Event) { panic("out of ink") }})
		defer ex.Close()
		for i := range 10 {
			if got, err := concert.Submit(t.Context(), ex, square, i).Result(t.Context()); got != i*i || err != nil {
				t.Errorf("Result() = %d, %v; want %d", got, err, i*i)
			}
		}
		synctest.Wait()
	})
	text := log.String()
	if strings.Count(text, "\n") != 1 || !strings.Contains(text, "out of ink") || !strings.Contains(text, "event=submitted") || !strings.Contains(text, "of="+thisPackage+".square") {
		t.Errorf("logged:\n%s\nwant one line, with the event and the task", text)
	}
}
