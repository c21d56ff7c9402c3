package processes_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"concert"
	"concert/internal/logtest"
	"concert/processes"
)

// terminal returns the two ends of a new terminal.
func terminal(t *testing.T) (screen, tty *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("this system has no terminals: %v", err)
	}
	t.Cleanup(func() { screen.Close() })
	if err := unix.IoctlSetPointerInt(int(screen.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(screen.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprint("/dev/pts/", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	return screen, tty
}

// programCrashes runs tasks that crash as C code does, prints the error of the
// last one, and runs a task that prints the text of a crash and continues.
func programCrashes([]string) error {
	p, err := processes.New(1, nil)
	if err != nil {
		return err
	}
	for range 3 {
		if _, err = concert.Submit(context.Background(), p, misbehave, "raise").Result(context.Background()); err == nil {
			return errors.New("no error")
		}
	}
	e, ok := errors.AsType[*processes.WorkerError](err)
	if !ok {
		return err
	}
	fmt.Printf("%v\n%+v\n", e, e)
	if _, err := concert.Submit(context.Background(), p, printLies, 0).Result(context.Background()); err != nil {
		return err
	}
	return p.Close()
}

// printLies prints escape sequences, and the text that Go's runtime prints
// before it exits. But printLies continues.
var printLies = concert.Register("processes_test.printLies", func(context.Context, int) (int, error) {
	fmt.Fprintln(os.Stderr, "panic: not at all\n\x1b[2Jand on")
	return 0, nil
})

// TestTerminal_Crash: if a worker crashes, the pool must print only one line to
// a terminal, and the error must contain the traceback. Other output of workers
// must be printed completely, but without control characters.
func TestTerminal_Crash(t *testing.T) {
	screen, tty := terminal(t)
	cmd := program(t, "crashes")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, tty
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	tty.Close()
	shown, _ := io.ReadAll(screen) // always returns an error: the other end of the terminal is closed
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %s%s", err, out.Bytes(), shown)
	}
	deaths, rest := 0, ""
	for line := range strings.Lines(string(shown)) {
		if strings.Contains(line, "a worker died") && strings.Contains(line, "segmentation fault") {
			deaths++
		} else {
			rest += line
		}
	}
	if want := "panic: not at all\r\n\\x1b[2Jand on\r\n"; deaths < 2 || deaths > 3 || rest != want { // the program may end before it prints the last death
		t.Errorf("%d deaths on the terminal, want 3; and %q, want %q", deaths, rest, want)
	}
	short, long, _ := strings.Cut(out.String(), "\n")
	if !strings.HasSuffix(short, "died of a signal: segmentation fault") {
		t.Errorf("the error is %q", short)
	}
	if !strings.HasPrefix(long, short+"\nSIGSEGV: segmentation violation\n") || strings.Count(long, "\ngoroutine ") < 2 {
		t.Errorf("the error printed by %%+v has no traceback: %.500s", long)
	}
}

// TestOutput_Escapes: if a worker prints control characters, they must be
// escaped in the log and in the error.
func TestOutput_Escapes(t *testing.T) {
	leftovers(t)
	const evil = "\x1b]0;owned\a\x1b[2J\u009b31m\u202e\rx"
	var log logtest.Buffer
	p := newPool(t, 1, &processes.Options{Output: slog.New(slog.NewJSONHandler(&log, nil))})
	_, err := submit(t, p, printAndDie, evil).Result(t.Context())
	e := died(t, err)
	const want = `\x1b]0;owned\x07\x1b[2J\u009b31m\u202e\rx`
	if !strings.Contains(e.Stderr, want) || !strings.HasSuffix(e.Error(), want) {
		t.Errorf("error %q, of %q", e.Error(), e.Stderr)
	}
	p.Close()
	printed := 0
	for _, line := range log.Lines() {
		var r struct{ Msg, Stream string }
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		if r.Stream != "" {
			printed++
			if r.Msg != want {
				t.Errorf("on %s: %q", r.Stream, r.Msg)
			}
		}
	}
	if printed != 2 {
		t.Errorf("%d lines, want 2", printed)
	}
}

var printAndDie = concert.Register("processes_test.printAndDie", func(_ context.Context, text string) (int, error) {
	fmt.Println(text)
	fmt.Fprintln(os.Stderr, text)
	os.Exit(1)
	return 0, nil
})
