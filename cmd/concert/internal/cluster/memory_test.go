package cluster

import (
	"runtime"
	"strconv"
	"strings"
	"testing"

	"concert"
	"concert/cluster"
	"concert/cluster/server"
	"concert/cmd/concert/internal/cli"
	"concert/processes"
	"concert/python"
)

func TestWorker_DefaultMemory(t *testing.T) {
	for _, c := range []struct {
		machine    int64
		n, threads int
		want       int64
	}{
		{0, 4, 1, 0}, {16 << 30, 4, 1, 3<<30 + 16<<20}, {16 << 30, 100, 1, 1<<30 + 16<<20}, {16 << 30, 1, 100, 12<<30 + 1600<<20},
	} {
		if got := defaultMemory(c.machine, c.n, c.threads); got != c.want {
			t.Errorf("defaultMemory(%d, %d, %d) = %d, want %d", c.machine, c.n, c.threads, got, c.want)
		}
	}
}

// TestWorker_MinMemory: the minimum of --memory must be the minimum of package
// processes.
func TestWorker_MinMemory(t *testing.T) {
	for _, c := range []struct {
		bytes int64
		ok    bool
	}{{0, true}, {1, false}, {processes.MinMemory - 1, false}, {processes.MinMemory, true}} {
		_, _, err := parseWorker([]string{"--memory", strconv.FormatInt(c.bytes, 10), "statistics:fmean"})
		if (err == nil) != c.ok {
			t.Errorf("--memory %d: %v", c.bytes, err)
		}
	}
	var shown cli.Memory
	if err := shown.Set(minMemory); err != nil || shown.Bytes != processes.MinMemory {
		t.Errorf("errors and help name %s, want %d bytes", minMemory, processes.MinMemory)
	}
}

// TestWorker_Memory: interpreters must have the memory limit of --memory, or
// the default limit if the flag is not set.
func TestWorker_Memory(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("the memory of a process cannot be limited here")
	}
	s, err := server.New(&server.Options{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const limitData = 2 // RLIMIT_DATA
	limit := python.Func[int, []int64]("resource:getrlimit")
	for _, c := range []struct {
		args []string
		want int64
	}{
		{nil, defaultMemory(machineMemory(), 1, 1)}, {[]string{"--memory", "300M"}, 300 << 20}, {[]string{"--memory", "0"}, -1},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			_, stop := startWorker(t, append(c.args, "--url", s.URL(), "-n", "1", "resource:getrlimit", "builtins:bytearray")...)
			ex, err := cluster.Dial(t.Context(), s.URL(), nil)
			if err != nil {
				t.Fatal(err)
			}
			got, err := concert.Submit(t.Context(), ex, limit, limitData).Result(t.Context())
			if err != nil || len(got) != 2 || got[0] != c.want {
				t.Errorf("%v: the limit is %d, %v; want %d", c.args, got, err, c.want)
			}
			if c.want > 0 && c.want < 1<<30 {
				_, err := concert.Submit(t.Context(), ex, python.Func[int, []byte]("builtins:bytearray"), 600<<20).Result(t.Context())
				if err == nil || !strings.Contains(err.Error(), "MemoryError") {
					t.Errorf("%v: 600 MiB: %v, want MemoryError", c.args, err)
				}
			}
			ex.Close()
			stop()
		})
	}
}
