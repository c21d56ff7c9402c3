package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"concert/cluster/server"
	"concert/cmd/concert/internal/cli"
	"concert/internal/logtest"
	"concert/internal/pythontest"
)

// TestMap_Cluster: with --cluster, the workers of a cluster call the function.
func TestMap_Cluster(t *testing.T) {
	t.Parallel()
	pythontest.Need(t)
	s, err := server.New(&server.Options{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var says logtest.Buffer
	stopped := make(chan int, 1)
	go func() {
		stopped <- run(ctx, []string{"worker", "--url", s.URL(), "statistics:fmean"}, new(bytes.Buffer), &says)
	}()
	defer func() {
		cancel()
		<-stopped
	}()
	for begin := time.Now(); !strings.Contains(says.String(), "ready at"); time.Sleep(10 * time.Millisecond) {
		if time.Since(begin) > time.Minute {
			t.Fatalf("the worker is not ready: %s", says.String())
		}
	}
	code, out, errOut := call(t.Context(), "map", "--cluster", s.URL(), "--py", "statistics:fmean", ":::", "[1, 2, 6]", "[8, 9]", "[]")
	if code != cli.ExitFailed || out != "3\n8.5\n" {
		t.Errorf("exit code %d, output %q, %s", code, out, errOut)
	}
	if want := "StatisticsError: fmean requires at least one data point"; !strings.Contains(errOut, want) {
		t.Errorf("the summary has no %q: %s", want, errOut)
	}
}
