package cluster

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"concert/cluster"
	"concert/cluster/server"
	"concert/cmd/concert/internal/cli"
	"concert/goroutines"
	"concert/internal/devserver"
	"concert/internal/logtest"
)

// startDefault starts a server that commands find without a URL, as
// "concertd dev" does. The directory of the server's record belongs to the
// test only.
func startDefault(t *testing.T) (s *server.Server, claim *devserver.Claim) {
	t.Helper()
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	t.Setenv(devserver.URLVariable, "")
	t.Setenv(devserver.KeyVariable, "")
	claim, err := devserver.Acquire()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(claim.Release)
	k, err := server.NewKeyring(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	text, err := k.Add(server.Admin, "dev")
	if err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(t.TempDir(), "dev.key")
	if err := os.WriteFile(key, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err = server.New(&server.Options{Listen: "127.0.0.1:0", Keyring: k}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.Setup(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if err := claim.Publish(devserver.Record{URL: s.URL(), Key: key}); err != nil {
		t.Fatal(err)
	}
	return s, claim
}

// TestDefaultServer: without --url and --key, commands must use the server of
// "concertd dev". If no server runs, the error must name this command.
func TestDefaultServer(t *testing.T) {
	s, claim := startDefault(t)
	says, _ := startWorker(t, "-n", "1", "statistics:fmean")
	if !strings.Contains(says.String(), "ready at "+s.URL()) {
		t.Errorf("the worker does not name the server: %s", says)
	}
	var out, errOut bytes.Buffer
	if code := cli.Main(t.Context(), commands, []string{"status"}, &out, &errOut); code != cli.ExitOK || !strings.Contains(out.String(), "1 worker, 0 of 1 slot taken") {
		t.Errorf("status: %d, %s%s", code, out.String(), errOut.String())
	}
	claim.Release()
	for _, args := range [][]string{{"status"}, {"worker", "-n", "1", "statistics:fmean"}} {
		var out, errOut bytes.Buffer
		if code := cli.Main(t.Context(), commands, args, &out, &errOut); code != cli.ExitFailed || !strings.Contains(errOut.String(), "run 'concertd dev' in another terminal") {
			t.Errorf("%s without a server: %d, %s", args, code, errOut.String())
		}
	}
}

// serveUntilEnd runs a worker for a function of this program until the end of
// the test.
func serveUntilEnd(t *testing.T, url string, access cluster.Access, function string) {
	t.Helper()
	pool := goroutines.New(1, nil)
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- cluster.Serve(ctx, url, pool, &cluster.ServeOptions{Access: access, Functions: []string{function}, Grace: time.Second, Notice: func(string) {}})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		pool.Close()
	})
}

// TestStatus_WatchRestart: with --watch, a server that does not answer must be
// reported, and must be shown again after it has started again.
func TestStatus_WatchRestart(t *testing.T) {
	t.Parallel()
	impatient := Status
	impatient.Run = func(ctx context.Context, args []string, out, errOut io.Writer) error {
		o, err := parseStatus(args)
		if err != nil {
			return err
		}
		o.timeout = time.Second
		return o.run(ctx, out, errOut)
	}
	listen := "127.0.0.1:0"
	start := func() *server.Server {
		s, err := server.New(&server.Options{Listen: listen})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		if err := s.Setup(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := start()
	ctx, cancel := context.WithCancel(t.Context())
	var out, errOut logtest.Buffer
	code := make(chan int, 1)
	go func() {
		code <- cli.Main(ctx, []cli.Command{impatient}, []string{"status", "--watch", "--url", s.URL()}, &out, &errOut)
	}()
	defer func() {
		cancel()
		if c := <-code; c != cli.ExitSignal {
			t.Errorf("exit code %d: %s", c, errOut.String())
		}
	}()
	await := func(what string, done func() bool) {
		t.Helper()
		for tick := time.Tick(50 * time.Millisecond); !done(); {
			select {
			case <-tick:
			case c := <-code:
				code <- c
				t.Fatalf("ended, waiting for %s: %s", what, errOut.String())
			}
		}
	}
	await("the status", func() bool { return strings.Contains(out.String(), "0 dead letters") })
	listen = strings.TrimPrefix(s.URL(), "nats://")
	s.Close()
	await("the error", func() bool { return strings.Contains(errOut.String(), "the servers have not answered within 1s") })
	before := out.String()
	start()
	await("the status again", func() bool { return out.String() != before })
}
