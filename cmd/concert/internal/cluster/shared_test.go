package cluster

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go"

	"concert"
	"concert/cluster"
	"concert/cluster/server"
	"concert/processes"
	"concert/python"
)

// sharedRecord is a shared value that Go and Python functions use.
type sharedRecord struct {
	Name    string
	Numbers []float64
}

var sharedLength = concert.Register("cluster_test.sharedLength", func(_ context.Context, s *concert.Shared[sharedRecord]) (int, error) {
	return len(s.Value().Numbers), nil
})

// TestWorker_SharedValues: workers in Python and in Go must use the same
// handles. The client must store a value once for each language, and once if
// the languages encode it in the same way. Each worker must download it once.
func TestWorker_SharedValues(t *testing.T) {
	t.Parallel()
	s, err := server.New(&server.Options{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	dir := t.TempDir()
	module := "def at(record, i):\n    return record['Numbers'][i]\n" +
		"def kind(record):\n    return type(record['Numbers']).__name__ + ' ' + record['Name']\n" +
		"def twice(numbers):\n    return numbers[0][5] + numbers[1][5] + len(numbers[2])\n"
	if err := os.WriteFile(filepath.Join(dir, "shared_module.py"), []byte(module), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stop := startWorker(t, "--url", s.URL(), "-n", "2", "--path", dir, "shared_module:at", "shared_module:kind", "shared_module:twice")
	ctx, cancel := context.WithCancel(t.Context())
	pool, err := processes.New(2, nil)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() {
		served <- cluster.Serve(ctx, s.URL(), pool, &cluster.ServeOptions{Functions: []string{"cluster_test.sharedLength"}})
	}()
	ex, err := cluster.Dial(t.Context(), s.URL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	up, err := nc.SubscribeSync("concert.load.>")
	if err != nil {
		t.Fatal(err)
	}
	down, err := nc.SubscribeSync("$JS.API.DIRECT.GET.CONCERT_LOAD.>")
	if err != nil || nc.Flush() != nil {
		t.Fatal(err)
	}
	numbers := make([]float64, 150_000) // three parts
	numbers[5] = 7
	record, err := concert.Share(t.Context(), ex, sharedRecord{"name", numbers})
	if err != nil {
		t.Fatal(err)
	}
	list, err := concert.Share(t.Context(), ex, numbers)
	if err != nil {
		t.Fatal(err)
	}
	defer list.Close() // an unreachable handle would delete its value
	defer record.Close()
	at := python.Func[python.Args, float64]("shared_module:at")
	for got, err := range concert.Map(t.Context(), ex, at, func(yield func(python.Args) bool) {
		for range 50 {
			if !yield(python.Args{Args: []any{record, 5}}) {
				return
			}
		}
	}) {
		if got != 7 || err != nil {
			t.Fatalf("the number is %v, %v", got, err)
		}
	}
	if got, err := concert.Submit(t.Context(), ex, python.Func[*concert.Shared[sharedRecord], string]("shared_module:kind"), record).Result(t.Context()); got != "memoryview name" || err != nil {
		t.Errorf("the types are %q, %v", got, err)
	}
	twice := python.Func[[]any, float64]("shared_module:twice")
	if got, err := concert.Submit(t.Context(), ex, twice, []any{list, list, []int{1, 2}}).Result(t.Context()); got != 16 || err != nil {
		t.Errorf("the sum is %v, %v", got, err)
	}
	if got, err := concert.Submit(t.Context(), ex, sharedLength, record).Result(t.Context()); got != len(numbers) || err != nil {
		t.Errorf("the length in Go is %v, %v", got, err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	for what, sub := range map[string]*nats.Subscription{"stored": up, "read": down} {
		if n, _, err := sub.Pending(); n != 3*3 || err != nil {
			t.Errorf("%d parts were %s, %v; want 9: the record for each language, and the list", n, what, err)
		}
	}
	ex.Close()
	stop()
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	pool.Close()
}

// TestMain runs the tests, or the worker of a pool of processes.
func TestMain(m *testing.M) {
	processes.Main()               // does not return in a worker
	flag.Set("test.parallel", "4") // parallel tests mostly wait
	os.Exit(m.Run())
}
