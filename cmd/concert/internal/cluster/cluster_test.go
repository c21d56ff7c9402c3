package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"concert"
	"concert/cluster"
	"concert/cluster/server"
	"concert/cmd/concert/internal/cli"
	"concert/goroutines"
	"concert/internal/logtest"
	"concert/internal/pythontest"
	"concert/python"
)

var commands = []cli.Command{Worker, Status}

// screen records what a command prints.
type screen struct{ logtest.Buffer }

// await waits until the command has printed a text.
func (s *screen) await(t *testing.T, what string) {
	t.Helper()
	for begin := time.Now(); !strings.Contains(s.String(), what); time.Sleep(10 * time.Millisecond) {
		if time.Since(begin) > 30*time.Second {
			t.Fatalf("the output has no %q: %s", what, s.String())
		}
	}
}

// startWorker runs the command "concert worker", and returns when the worker
// is ready. The function stop ends the worker, and returns its exit code.
func startWorker(t *testing.T, args ...string) (says *screen, stop func() int) {
	t.Helper()
	pythontest.Need(t)
	ctx, cancel := context.WithCancel(t.Context())
	says = &screen{}
	code := make(chan int, 1)
	go func() { code <- cli.Main(ctx, commands, append([]string{"worker"}, args...), &bytes.Buffer{}, says) }()
	stop = sync.OnceValue(func() int {
		cancel()
		return <-code
	})
	t.Cleanup(func() { stop() })
	says.await(t, "ready at")
	return says, stop
}

// TestWorker_PythonFunctions: a worker must run Python functions with arguments
// and results of several types, and status must show the worker.
func TestWorker_PythonFunctions(t *testing.T) {
	t.Parallel()
	s, err := server.New(&server.Options{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	dir := t.TempDir()
	module := "import time\ndef greet(name):\n    return 'hello ' + name\n" +
		"def add(a, b):\n    return a + b\ndef nothing():\n    return 'nothing'\nclass Model:\n    def predict(self, x):\n        return [x, x]\n" +
		"class Scale:\n    def __init__(self, unit, times=1):\n        self.unit, self.times = unit, times\n    def f(self, x):\n        return '%d %s' % (x * self.times, self.unit)\n"
	if err := os.WriteFile(filepath.Join(dir, "worker_module.py"), []byte(module), 0o600); err != nil {
		t.Fatal(err)
	}
	says, stop := startWorker(t, "--url", s.URL(), "-n", "1", "--threads", "2", "--path", dir,
		"statistics:fmean", "worker_module:greet", "worker_module:add", "worker_module:nothing", "worker_module:Model().predict",
		"worker_module:Scale('m. a', times=3).f")

	ex, err := cluster.Dial(t.Context(), s.URL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ex.Close()
	if v, err := concert.Submit(t.Context(), ex, python.Func[[]float64, float64]("statistics:fmean"), []float64{1, 2, 6}).Result(t.Context()); v != 3 || err != nil {
		t.Errorf("%v, %v", v, err)
	}
	if v, err := concert.Submit(t.Context(), ex, python.Func[[]int, any]("statistics:fmean"), []int{1, 3}).Result(t.Context()); v != 2.0 || err != nil {
		t.Errorf("%v, %v", v, err)
	}
	if v, err := concert.Submit(t.Context(), ex, python.Func[string, string]("worker_module:greet"), "Ann").Result(t.Context()); v != "hello Ann" || err != nil {
		t.Errorf("%v, %v", v, err)
	}
	if v, err := concert.Submit(t.Context(), ex, python.Func[python.Args, int]("worker_module:add"), python.Args{Args: []any{1, 2}}).Result(t.Context()); v != 3 || err != nil {
		t.Errorf("%v, %v", v, err)
	}
	if v, err := concert.Submit(t.Context(), ex, python.Func[python.None, string]("worker_module:nothing"), python.None{}).Result(t.Context()); v != "nothing" || err != nil {
		t.Errorf("%v, %v", v, err)
	}
	if v, err := concert.Submit(t.Context(), ex, python.Func[int, []int]("worker_module:Model().predict"), 7).Result(t.Context()); len(v) != 2 || err != nil {
		t.Errorf("%v, %v", v, err)
	}
	if v, err := concert.Submit(t.Context(), ex, python.Func[int, string]("worker_module:Scale('m. a', times=3).f"), 7).Result(t.Context()); v != "21 m. a" || err != nil {
		t.Errorf("%v, %v", v, err)
	}
	var failed *python.Error
	if _, err := concert.Submit(t.Context(), ex, python.Func[int, string]("worker_module:greet"), 7).Result(t.Context()); !errors.As(err, &failed) || failed.Type != "TypeError" {
		t.Errorf("%v, want a TypeError", err)
	}

	// Repeat the command. The servers are informed of the end of the last task
	// a moment later than the client, and the state of a worker may be several
	// seconds old.
	var out, errOut bytes.Buffer
	settled := func() bool {
		return strings.Contains(out.String(), "0 tasks waiting\n") && strings.Contains(out.String(), ", 0 of 2 slots taken\n")
	}
	for begin := time.Now(); !settled() && time.Since(begin) < 20*time.Second; time.Sleep(10 * time.Millisecond) {
		out.Reset()
		if code := cli.Main(t.Context(), commands, []string{"status", "--url", s.URL()}, &out, &errOut); code != cli.ExitOK {
			t.Fatalf("%d, %s", code, errOut.String())
		}
	}
	for _, want := range []string{"1 worker, 0 of 2 slots taken\n", " 0/2 ", " 1        2      statistics:fmean, worker_module:Model().predict and 4 more\n", "0 tasks waiting\n", "0 dead letters\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("status has no %q:\n%s", want, out.String())
		}
	}
	if code := stop(); code != cli.ExitOK || !strings.Contains(says.String(), "stopping") {
		t.Errorf("the worker ends with %d: %s", code, says)
	}
}

// TestWorker_WrongUsage: if a worker cannot run its functions, or cannot reach
// a server, it must fail with an error that says why.
func TestWorker_WrongUsage(t *testing.T) {
	t.Parallel()
	pythontest.Need(t)
	for args, want := range map[string]struct {
		code int
		says string
	}{
		"":                                      {cli.ExitUsage, "no function"},
		"fmean":                                 {cli.ExitUsage, "want MODULE:FUNCTION"},
		"-n 0 statistics:fmean":                 {cli.ExitUsage, "-n takes"},
		"--grace 0s statistics:fmean":           {cli.ExitUsage, "--grace takes"},
		"--threads 0 statistics:fmean":          {cli.ExitUsage, "--threads takes"},
		"--memory 2X statistics:fmean":          {cli.ExitUsage, "want an amount of memory"},
		"--memory -1 statistics:fmean":          {cli.ExitUsage, "want an amount of memory"},
		"--memory 5 statistics:fmean":           {cli.ExitUsage, "--memory takes 192M or more"},
		"--path no/dir statistics:fmean":        {cli.ExitUsage, "--path no/dir: no such file or directory"},
		"-n 1 --path cluster_test.go no_mod:f":  {cli.ExitFailed, "no_mod"}, // --path may be a file, such as a zip archive
		"statistics:fmean -n 0":                 {cli.ExitUsage, "-n takes 1 to 1000"},
		"--url http://one statistics:fmean":     {cli.ExitUsage, "--url: URL of the servers (...): want one like nats://host:4222"},
		"--memory G statistics:fmean":           {cli.ExitUsage, "want an amount of memory"},
		"-n 1 statistics:nonesuch":              {cli.ExitFailed, "statistics:nonesuch"},
		"-n 1 no_such_module:f":                 {cli.ExitFailed, "no_such_module"},
		"-n 1 string:digits":                    {cli.ExitFailed, "string:digits is no function"},
		"-n 1 --python /no/python os:nice":      {cli.ExitFailed, "cannot find the interpreter"},
		"-n 1 --key /no/key os:nice":            {cli.ExitFailed, "/no/key"},
		"-n 1 --url nats://127.0.0.1:1 os:nice": {cli.ExitFailed, "no server answers at nats://127.0.0.1:1"},
	} {
		t.Run(args, func(t *testing.T) {
			var out, errOut bytes.Buffer
			if code := cli.Main(t.Context(), commands, append([]string{"worker"}, strings.Fields(args)...), &out, &errOut); code != want.code || !strings.Contains(errOut.String(), want.says) {
				t.Errorf("%s: exit code %d, %q; want %d and %q", args, code, errOut.String(), want.code, want.says)
			}
		})
	}
}

// TestStatus_DeadLetters: if there are three dead letters that are not tasks,
// the command status must list them, --replay must refuse them, and --discard
// must remove them.
func TestStatus_DeadLetters(t *testing.T) {
	t.Parallel()
	s, err := server.New(&server.Options{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := cluster.Setup(t.Context(), s.URL(), 1, nil); err != nil {
		t.Fatal(err)
	}
	status := func(args ...string) (int, string, string) {
		var out, errOut bytes.Buffer
		code := cli.Main(t.Context(), commands, append([]string{"status", "--url", s.URL()}, args...), &out, &errOut)
		return code, out.String(), errOut.String()
	}
	if code, out, _ := status("--dead"); code != cli.ExitOK || out != "no dead letters\n" {
		t.Errorf("%d, %q", code, out)
	}
	publishDead(t, s.URL(), 3)
	code, out, errOut := status("--dead")
	if code != cli.ExitOK || strings.Count(out, "\n") != 4 || !strings.Contains(out, "no task") || !strings.Contains(out, "made up") {
		t.Errorf("%d, %q, %q", code, out, errOut)
	}
	if code, out, _ := status(); code != cli.ExitOK || !strings.Contains(out, "3 dead letters: concert status --dead lists them") {
		t.Errorf("%d, %q", code, out)
	}
	if code, out, errOut := status("--replay", "1"); code != cli.ExitFailed || out != "0 dead letters replayed\n" || !strings.Contains(errOut, "is not a task") {
		t.Errorf("%d, %q, %q", code, out, errOut)
	}
	if code, out, errOut := status("--discard", "1,99"); code != cli.ExitFailed || out != "1 dead letter discarded\n" || !strings.Contains(errOut, "dead letter 99\n") {
		t.Errorf("%d, %q, %q", code, out, errOut)
	}
	if code, _, errOut := status("--replay", "99"); code != cli.ExitFailed || errOut != "concert status: cluster: there is no dead letter 99\n" {
		t.Errorf("%d, %q", code, errOut)
	}
	if code, out, errOut := status("--discard", "all"); code != cli.ExitOK || out != "2 dead letters discarded\n" {
		t.Errorf("%d, %q, %q", code, out, errOut)
	}
	code, out, _ = status("--json")
	var v struct {
		Workers, Queues []any
		Dead            int
	}
	if err := json.Unmarshal([]byte(out), &v); err != nil || code != cli.ExitOK || v.Dead != 0 {
		t.Errorf("%d, %q, %v", code, out, err)
	}
	for _, args := range []string{"now", "--replay x", "--replay 0", "--dead --watch", "--json --replay all", "--nonsense", "--url http://one"} {
		if code, _, errOut := status(strings.Fields(args)...); code != cli.ExitUsage {
			t.Errorf("%s: %d, %q", args, code, errOut)
		}
	}
}

var spoiled = concert.Register("main_test.spoiled", func(_ context.Context, name string) (int, error) {
	return 0, errors.New("no JPEG: " + name)
})

// TestStatus_Input: the line of a dead letter must have the index and the label
// of its input, or the label of its task.
func TestStatus_Input(t *testing.T) {
	t.Parallel()
	s, err := server.New(&server.Options{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	pool := goroutines.New(1, nil)
	defer pool.Close()
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- cluster.Serve(ctx, s.URL(), pool, &cluster.ServeOptions{Functions: []string{"main_test.spoiled"}})
	}()
	defer func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	ex, err := cluster.Dial(t.Context(), s.URL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ex.Close()
	twice := cluster.WithRetry(t.Context(), &concert.RetryOptions{Attempts: 2, Delay: time.Millisecond})
	labeled := concert.WithInputLabels(twice, func(name string) string { return name })
	for range concert.Map(labeled, ex, spoiled, slices.Values([]string{"cat.jpg\x1b[2J"})) {
	}
	for range concert.Map(twice, ex, spoiled, slices.Values([]string{"dog.jpg"})) {
	}
	concert.Submit(concert.WithLabel(twice, "the last"), ex, spoiled, "cow.jpg").Result(t.Context())
	concert.Submit(twice, ex, spoiled, "hen.jpg").Result(t.Context())
	var out bytes.Buffer
	if code := cli.Main(t.Context(), commands, []string{"status", "--url", s.URL(), "--dead"}, &out, &out); code != cli.ExitOK {
		t.Errorf("exit code %d", code)
	}
	lines := strings.Split(out.String(), "\n")
	for i, want := range []string{`input`, "spoiled 0 (cat.jpg\ufffd[2J) anyone failed", "spoiled 0 anyone", "spoiled the last anyone", "spoiled anyone"} {
		if i >= len(lines) || !strings.Contains(strings.Join(strings.Fields(lines[i]), " "), want) {
			t.Errorf("line %d has no %q:\n%s", i, want, out.String())
		}
	}
	out.Reset()
	cli.Main(t.Context(), commands, []string{"status", "--url", s.URL(), "--dead", "--json"}, &out, &out)
	first, _, _ := strings.Cut(out.String(), "\n")
	if !strings.Contains(first, `"index":0,"label":"cat.jpg�[2J"`) {
		t.Errorf("as JSON: %s", out.String())
	}
}

// publishDead stores dead letters that are not tasks on the servers.
func publishDead(t *testing.T, url string, n int) {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		m := &nats.Msg{Subject: "concert.dead.contract.client.worker", Data: fmt.Append(nil, i), Header: nats.Header{"Concert-Reason": {"made up"}}}
		if _, err := js.PublishMsg(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
}
