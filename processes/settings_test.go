package processes_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"concert"
	"concert/processes"
)

// environment returns the GOMAXPROCS of the worker that runs it. It also
// returns the variables in the worker's environment that begin with a prefix.
var environment = concert.Register("processes_test.environment", func(_ context.Context, prefix string) ([]string, error) {
	all := []string{strconv.Itoa(runtime.GOMAXPROCS(0))}
	for _, v := range os.Environ() {
		if strings.HasPrefix(v, prefix) {
			all = append(all, v)
		}
	}
	return all, nil
})

// TestPool_GOMAXPROCS: each worker must use an equal share of this process's
// GOMAXPROCS, unless Options.Env sets GOMAXPROCS.
func TestPool_GOMAXPROCS(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(6))
	var others []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "GOMAXPROCS=") {
			others = append(others, v)
		}
	}
	for _, c := range []struct {
		workers int
		given   string
		want    string
	}{{1, "", "6"}, {2, "", "3"}, {4, "", "1"}, {7, "", "1"}, {2, "GOMAXPROCS=5", "5"}} {
		t.Run(strings.TrimSpace(fmt.Sprint(c.workers, " workers ", c.given)), func(t *testing.T) {
			o := &processes.Options{Env: others}
			if c.given != "" {
				o.Env = append(slices.Clip(others), c.given)
			}
			p, err := processes.New(c.workers, o)
			if err != nil {
				t.Fatal(err)
			}
			got, err := concert.Submit(t.Context(), p, environment, "GOMAXPROCS=").Result(t.Context())
			if want := []string{c.want, "GOMAXPROCS=" + c.want}; err != nil || !slices.Equal(got, want) {
				t.Errorf("%d workers, given %q: %v, %v; want %v", c.workers, c.given, got, err, want)
			}
			p.Close()
		})
	}
}
