//go:build unix

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"concert/cmd/concert/internal/cli"
)

// interrupted starts concert, sends it an interrupt when its standard output
// has a text, and returns its standard error and exit code.
func interrupted(t *testing.T, when string, args ...string) (errOut string, code int) {
	t.Helper()
	cmd := process(t, args...)
	var text bytes.Buffer
	cmd.Stderr = &text
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for sent := false; lines.Scan(); {
		if !sent && strings.Contains(lines.Text(), when) {
			sent = true
			cmd.Process.Signal(os.Interrupt)
		}
	}
	cmd.Wait()
	return text.String(), cmd.ProcessState.ExitCode()
}

// TestGet_PipeAsDirectory: with --url-dirs, a named pipe in place of a
// directory must let its files fail. To open it would block.
func TestGet_PipeAsDirectory(t *testing.T) {
	f := newFaulty()
	defer f.Close()
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "plain"), 0o777); err != nil {
		t.Fatal(err)
	}
	args := []string{"get", "--url-dirs", "-d", dir}
	for i := range 5 {
		args = append(args, fmt.Sprint(f.URL, "/plain/", i))
	}
	cmd := process(t, args...)
	var text bytes.Buffer
	cmd.Stderr = &text
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() }).Stop()
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(text.String(), "5 of 5 files failed") {
		t.Errorf("exit code %d, %q; want 5 failures", code, text.String())
	}
}

// TestGet_CtrlC: after Ctrl-C, "concert get" must end with the documented exit
// code, and print at most three lines for a long list.
func TestGet_CtrlC(t *testing.T) {
	f := newFaulty()
	defer f.Close()
	dir := t.TempDir()
	var list strings.Builder
	fmt.Fprintln(&list, f.URL+"/plain/first")
	for i := range 5000 {
		fmt.Fprint(&list, f.URL, "/held/h", i, "\n")
	}
	file := filepath.Join(dir, "list")
	if err := os.WriteFile(file, []byte(list.String()), 0o666); err != nil {
		t.Fatal(err)
	}
	errOut, code := interrupted(t, "/first", "get", "-d", dir, "-i", file)
	_, last, found := strings.Cut(errOut, "1 of 5001 files in ")
	if code != cli.ExitSignal || !found || strings.Count(last, "\n") > 3 ||
		!strings.Contains(last, "interrupted: 1 of 5001 files done, ") || !strings.Contains(last, "To continue, run the same command again.\n") {
		t.Errorf("exit %d, want %d:\n%s", code, cli.ExitSignal, errOut)
	}
}

// TestGet_CtrlCNothingKept: if nothing is kept and no file is left, "concert
// get" must not say that the same command continues.
func TestGet_CtrlCNothingKept(t *testing.T) {
	t.Parallel()
	f := newFaulty()
	defer f.Close()
	dir := t.TempDir()
	errOut, code := interrupted(t, `"progress"`, "get", "--json", "-d", dir, f.URL+"/endless/e")
	if code != cli.ExitSignal || !strings.Contains(errOut, "interrupted: 0 of 1 files done, 1 partly (nothing kept") || strings.Contains(errOut, "continues.") {
		t.Errorf("exit %d:\n%s", code, errOut)
	}
	if entries, _ := os.ReadDir(dir); len(entries) > 0 {
		t.Errorf("%v was left", entries)
	}
}

// TestGet_CtrlCFailures: after Ctrl-C, the reason of each failure must have
// been printed once: when it happened or, with --quiet, at the end.
func TestGet_CtrlCFailures(t *testing.T) {
	for _, flag := range []string{"--quiet", "--jobs=1"} {
		t.Run(flag, func(t *testing.T) {
			f := newFaulty()
			defer f.Close()
			errOut, code := interrupted(t, "/first", "get", flag, "--jobs", "1", "-d", t.TempDir(), f.URL+"/missing/m", f.URL+"/plain/first", f.URL+"/held/h")
			if code != cli.ExitSignal || strings.Count(errOut, "/missing/m: cannot get it: the server replied") != 1 {
				t.Errorf("exit %d:\n%s", code, errOut)
			}
		})
	}
}

// TestGet_CtrlCTerminal: on a terminal, the reason of each failure must be
// printed when it happens, so that it is there after Ctrl-C.
func TestGet_CtrlCTerminal(t *testing.T) {
	f := newFaulty()
	defer f.Close()
	cmd := process(t, "get", "-d", t.TempDir(), "--jobs", "1", f.URL+"/missing/m", f.URL+"/held/h")
	cmd.Env = append(os.Environ(), "TERM=xterm")
	screen, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 120})
	if err != nil {
		t.Fatal(err)
	}
	defer screen.Close()
	var seen bytes.Buffer
	buf := make([]byte, 4096)
	reason := "failed  " + f.URL + `/missing/m: cannot get it: the server replied "404 Not Found"`
	for sent := false; ; {
		n, err := screen.Read(buf)
		seen.Write(buf[:n])
		if !sent && strings.Contains(seen.String(), reason) {
			sent = true
			screen.Write([]byte{3}) // Ctrl-C
		}
		if err != nil {
			break
		}
	}
	cmd.Wait()
	text := seen.String()
	if code := cmd.ProcessState.ExitCode(); code != cli.ExitSignal || strings.Count(text, reason) != 1 || !strings.Contains(text, "0 of 2 files done, 1 failed") {
		t.Errorf("exit %d:\n%q", code, text)
	}
}

// TestGet_CtrlCList: Ctrl-C must end "concert get" while it waits for its list.
// The reader of a named pipe waits until a program writes to the pipe.
func TestGet_CtrlCList(t *testing.T) {
	dir := t.TempDir()
	list := filepath.Join(dir, "list")
	if err := syscall.Mkfifo(list, 0o600); err != nil {
		t.Skip(err)
	}
	cmd := process(t, "get", "-d", dir, "-i", list)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w, err := os.OpenFile(list, os.O_WRONLY, 0) // blocks until the process reads
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	cmd.Process.Signal(os.Interrupt)
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != cli.ExitSignal {
		t.Errorf("exit %d, want %d", code, cli.ExitSignal)
	}
}

// TestGet_CtrlCTwice: several Ctrl-C must end "concert get" with the same exit
// code as one.
func TestGet_CtrlCTwice(t *testing.T) {
	f := newFaulty()
	defer f.Close()
	cmd := process(t, "get", "--json", "-d", t.TempDir(), f.URL+"/endless/e")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		cmd.Process.Signal(os.Interrupt)
	}
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != cli.ExitSignal {
		t.Errorf("exit %d, want %d", code, cli.ExitSignal)
	}
}

// TestGet_ClosedPipe: if the reader of the standard output has ended, "concert
// get" must end with a message.
func TestGet_ClosedPipe(t *testing.T) {
	f := newFaulty()
	defer f.Close()
	cmd := process(t, "get", "--quiet", "-d", t.TempDir(), f.URL+"/plain/a")
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = w
	r.Close()
	cmd.Run()
	w.Close()
	if code := cmd.ProcessState.ExitCode(); code != cli.ExitFailed || !strings.Contains(errOut.String(), "cannot write to the standard output: ") {
		t.Errorf("exit %d:\n%s", code, errOut.String())
	}
}

// TestGet_HostAway: files of a host that is away must wait for it without using
// their attempts, while the files of another host are downloaded.
func TestGet_HostAway(t *testing.T) {
	t.Parallel()
	f := newFaulty()
	defer f.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	dir := t.TempDir()
	args := []string{"get", "--json", "-d", dir, "--retries", "1", f.URL + "/plain/near"}
	for i := range 10 {
		args = append(args, fmt.Sprint("http://", address, "/plain/far", i))
	}
	cmd := process(t, args...)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	near, waits := false, 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		text.WriteString(lines.Text() + "\n")
		near = near || strings.Contains(lines.Text(), `"done"`) && strings.Contains(lines.Text(), "/near")
		if strings.Contains(lines.Text(), `"delay":2,`) || strings.Contains(lines.Text(), `"delay":2}`) {
			waits++
		}
		if waits == 1 && near { // the probe after the first pause has failed
			waits++
			if l, err = net.Listen("tcp", address); err != nil {
				t.Fatal(err)
			}
			server := &http.Server{Handler: f}
			go server.Serve(l)
			defer server.Close()
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, text.String())
	}
	if n := strings.Count(text.String(), `"event":"done"`); n != 11 {
		t.Errorf("%d of 11 files are done", n)
	}
	attempts := map[any]float64{}
	for _, e := range readEvents(t, text.String()) {
		switch url := e["url"]; e["event"] {
		case "retry":
			if attempts[url]++; e["attempt"] != attempts[url] {
				t.Errorf("retry %v of %v, want %v", e["attempt"], url, attempts[url])
			}
		case "done":
			if e["attempts"] != attempts[url]+1 || attempts[url] > 0 && e["seconds"].(float64) < 1 {
				t.Errorf("%v has %v attempts in %v seconds, after %v failed", url, e["attempts"], e["seconds"], attempts[url])
			}
		}
	}
}

// TestGet_Terminal: on a terminal, "concert get" must print a bar that fits the
// width, paths above the bar, and a closing line.
func TestGet_Terminal(t *testing.T) {
	t.Parallel()
	f := newFaulty()
	defer f.Close()
	cmd := process(t, "get", "-d", t.TempDir(), "--jobs", "1", f.URL+"/plain/a", f.URL+"/held/h")
	cmd.Env = append(os.Environ(), "TERM=xterm")
	screen, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 50})
	if err != nil {
		t.Fatal(err)
	}
	defer screen.Close()
	var seen bytes.Buffer
	buf := make([]byte, 4096)
	for released := false; ; {
		n, err := screen.Read(buf)
		seen.Write(buf[:n])
		if !released && strings.Contains(seen.String(), "1 of 2 files") {
			released = true
			f.release()
		}
		if err != nil { // EIO on Linux: the other end is closed
			break
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v:\n%q", err, seen.String())
	}
	frames := strings.Split(seen.String(), "\r\x1b[K")
	bars := 0
	for _, frame := range frames {
		if strings.HasPrefix(frame, "[=") && len(strings.TrimRight(frame, "\r\n")) < 50 && strings.Contains(frame, "] ") {
			bars++
		}
	}
	if last := frames[len(frames)-1]; bars == 0 || !strings.HasPrefix(last, "2 of 2 files in ") || strings.Count(seen.String(), "/a\r\n") != 1 {
		t.Errorf("%d bars in\n%q", bars, frames)
	}
}
