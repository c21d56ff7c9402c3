package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"concert"
	"concert/cluster"
	"concert/goroutines"
	"concert/internal/devserver"
)

// isolate gives a test two directories: one for the record of the default
// server, and one for temporary files. It returns the second one.
func isolate(t *testing.T) (temporary string) {
	t.Helper()
	temporary = t.TempDir()
	t.Setenv("TMPDIR", temporary)
	t.Setenv("TMP", temporary) // on Windows
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	t.Setenv(devserver.URLVariable, "")
	t.Setenv(devserver.KeyVariable, "")
	return temporary
}

// askDefault runs a task by the default server, and returns its result. The
// task has an id: a server that has its result does not run the task again.
func askDefault(t *testing.T) int {
	t.Helper()
	pool := goroutines.New(1, nil)
	defer pool.Close()
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- cluster.Serve(ctx, "", pool, &cluster.ServeOptions{Notice: func(string) {}})
	}()
	defer func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	ex, err := cluster.Dial(t.Context(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ex.Close()
	n, err := concert.Submit(cluster.WithID(t.Context(), t.Name()), ex, double, 21).Result(t.Context())
	if err != nil {
		t.Error(err)
	}
	return n
}

// TestDev: programs must find the server without a URL and a key. The error
// of a second server must name the first one. After the end of the server,
// no files must remain, and the error of Dial must name the command that
// starts a server.
func TestDev(t *testing.T) {
	temporary := isolate(t)
	url, stop := running(t, "dev", "--listen", "127.0.0.1:0")
	if n := askDefault(t); n != 42 {
		t.Errorf("%d", n)
	}
	in, err := cluster.Inspect(t.Context(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	in.Close()
	if code, _, errOut := concertd(t, "dev"); code != exitFailed || !strings.Contains(errOut, "another 'concertd dev' runs for this user, at "+url) {
		t.Errorf("the second server: %d, %q", code, errOut)
	}
	if ex, err := cluster.Dial(t.Context(), url, nil); err == nil { // as another user of the machine could try
		t.Error("the server accepts a client without a key")
		ex.Close()
	}
	if code := stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if ex, err := cluster.Dial(t.Context(), "", nil); err == nil || !strings.Contains(err.Error(), "run 'concertd dev'") {
		t.Errorf("after the end: %v", err)
		if err == nil {
			ex.Close()
		}
	}
}

// TestDev_Killed: if the server was killed, the error of Dial must say so,
// and the next server must replace the record of the killed one.
func TestDev_Killed(t *testing.T) {
	isolate(t)
	_, stop := running(t, "dev", "--listen", "127.0.0.1:0")
	found, err := devserver.Find("", "")
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(found.Key)
	if err != nil {
		t.Fatal(err)
	}
	stop()
	left := devserver.Record{URL: found.URL, Key: filepath.Join(t.TempDir(), "dev.key"), Pid: 1}
	claim, err := devserver.Acquire()
	if err == nil {
		err = claim.Publish(left)
	}
	if err == nil {
		err = os.WriteFile(left.Key, key, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	says := func(want string) {
		t.Helper()
		ex, err := cluster.Dial(t.Context(), "", nil)
		if err == nil {
			ex.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "run 'concertd dev' again") {
			t.Errorf("%v, want %q", err, want)
		}
	}
	says("no server answers at " + found.URL + ", where 'concertd dev' ran")
	other, _ := serving(t, "--dir", t.TempDir(), "--listen", "127.0.0.1:0")
	left.URL = other
	if err := claim.Publish(left); err != nil {
		t.Fatal(err)
	}
	says("made with another keyring")
	claim.Release()
	running(t, "dev", "--listen", "127.0.0.1:0")
	if n := askDefault(t); n != 42 {
		t.Errorf("%d", n)
	}
}

// TestDev_Dir: with --dir, the next server must have the data of the last one.
// "concertd serve" must be able to use the directory, too.
func TestDev_Dir(t *testing.T) {
	isolate(t)
	dir := filepath.Join(t.TempDir(), "data of dev")
	doubled.Store(0)
	for range 2 {
		_, stop := running(t, "dev", "--dir", dir, "--listen", "127.0.0.1:0")
		if n := askDefault(t); n != 42 {
			t.Errorf("%d", n)
		}
		stop()
	}
	if n := doubled.Load(); n != 1 {
		t.Errorf("the task ran %d times, want once", n)
	}
	url, stop := serving(t, "--dir", dir, "--listen", "127.0.0.1:0")
	in, err := cluster.Inspect(t.Context(), url, &cluster.Access{Key: filepath.Join(dir, "dev.key")})
	if err != nil {
		t.Fatal(err)
	}
	in.Close()
	stop()

	// If the key was revoked, a new key needs the consent of the user. If its
	// file was removed, no program can use the old key.
	if code, _, errOut := concertd(t, "revoke", "--dir", dir, "dev"); code != exitOK {
		t.Fatal(errOut)
	}
	if code, _, errOut := concertd(t, "dev", "--dir", dir, "--listen", "127.0.0.1:0"); code != exitFailed || !strings.Contains(errOut, "its key was revoked: remove the file") {
		t.Errorf("%d, %q", code, errOut)
	}
	for range 2 { // at the second call, the keyring has the key, but its file is missing
		if err := os.Remove(filepath.Join(dir, "dev.key")); err != nil {
			t.Fatal(err)
		}
		_, stop = running(t, "dev", "--dir", dir, "--listen", "127.0.0.1:0")
		stop()
	}
}

// TestDev_Loopback: the server must refuse every address that other machines
// can reach.
func TestDev_Loopback(t *testing.T) {
	isolate(t)
	for listen, want := range map[string]string{
		"0.0.0.0:4222":         "other machines can reach this address",
		"[::]:4222":            "other machines can reach this address",
		"192.0.2.1:4222":       "other machines can reach this address",
		"[::ffff:1.2.3.4]:422": "other machines can reach this address",
		"localhost:4222":       "want an address and a port",
		"":                     "--listen is empty",
	} {
		t.Run(listen, func(t *testing.T) {
			if code, out, errOut := concertd(t, "dev", "--listen="+listen); code != exitUsage || out != "" || !strings.Contains(errOut, want) {
				t.Errorf("%d, %q, %q; want %q", code, out, errOut, want)
			}
		})
	}
	url, _ := serving(t, "--dir", t.TempDir(), "--listen", "127.0.0.1:0")
	busy := strings.TrimPrefix(url, "tls://")
	if code, _, errOut := concertd(t, "dev", "--listen", busy); code != exitFailed || !strings.Contains(errOut, "run 'concertd dev --listen 127.0.0.1:0'") {
		t.Errorf("%d, %q", code, errOut)
	}
}

// TestMain runs concertd itself in the processes that devProcess starts.
func TestMain(m *testing.M) {
	if os.Getenv("CONCERTD_TEST_MAIN") != "" {
		main()
	}
	os.Exit(m.Run())
}

// devProcess starts "concertd dev" in a new process whose output is a pipe.
// It waits until the server is ready, and returns the command, the address
// of the server and the reading end of the pipe.
func devProcess(t *testing.T) (cmd *exec.Cmd, address string, output io.Closer) {
	t.Helper()
	cmd = exec.Command(os.Args[0], "dev", "--listen", "127.0.0.1:0")
	cmd.Env = append(os.Environ(), "CONCERTD_TEST_MAIN=1")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if at, ok := strings.CutPrefix(lines.Text(), "concertd: listening; the URL is tls://"); ok {
			address = at
		}
		if lines.Text() == "concertd: ready" {
			return cmd, address, out
		}
	}
	t.Fatal("the server is not ready")
	return nil, "", nil
}

// TestDev_Signals: the server must remove its data and its record in two
// more cases: if its terminal is closed, and if the reader of its output has
// ended, as after Ctrl-C in "concertd dev | tee log".
func TestDev_Signals(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no signals")
	}
	for _, sig := range []os.Signal{syscall.SIGHUP, os.Interrupt} {
		t.Run(sig.String(), func(t *testing.T) {
			temporary := isolate(t)
			cmd, _, out := devProcess(t)
			out.Close()
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
			if left, err := os.ReadDir(temporary); err != nil || len(left) != 0 {
				t.Errorf("left: %v, %v", left, err)
			}
			if found, err := devserver.Find("", ""); err == nil {
				t.Errorf("still found: %+v", found)
			}
		})
	}
}

// TestDev_Restart: after a server was killed, the next server must remove
// the temporary data of the killed one, and must accept its workers, which
// reconnect.
func TestDev_Restart(t *testing.T) {
	temporary := isolate(t)
	cmd, address, _ := devProcess(t)
	pool := goroutines.New(1, nil)
	t.Cleanup(func() { pool.Close() })
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- cluster.Serve(ctx, "", pool, &cluster.ServeOptions{Notice: func(string) {}})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	ex, err := cluster.Dial(t.Context(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ex.Close() })
	double42 := func() {
		t.Helper()
		if n, err := concert.Submit(t.Context(), ex, double, 21).Result(t.Context()); n != 42 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
	double42()
	cmd.Process.Kill()
	cmd.Wait()
	running(t, "dev", "--listen", address)
	if left, err := os.ReadDir(temporary); err != nil || len(left) != 1 {
		t.Errorf("%v, %v; want only the data of the second server", left, err)
	}
	double42()
}
