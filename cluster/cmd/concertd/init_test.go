package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"concert/cluster"
)

// words returns the arguments of a command line, as a shell splits it.
func words(t *testing.T, line string) []string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("there is no POSIX shell")
	}
	out, err := exec.Command("sh", "-c", `set -- `+line+`; printf '%s\n' "$@"`).Output()
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
}

// TestInit: the printed commands must work without changes, even if the name
// of the directory contains blanks and quotes. A second call must change
// nothing.
func TestInit(t *testing.T) {
	isolate(t)
	dir := filepath.Join(t.TempDir(), "Ann's server")
	code, out, errOut := concertd(t, "init", "--dir", dir)
	if code != exitOK {
		t.Fatal(code, errOut)
	}
	commands := map[string][]string{} // the first command line with each pair of first two words
	for _, line := range regexp.MustCompile(`(?m)^    (concert.*)$`).FindAllStringSubmatch(out, -1) {
		w := words(t, line[1])
		if first := w[0] + " " + w[1]; commands[first] == nil {
			commands[first] = w[2:]
		}
	}
	url, _ := serving(t, append(commands["concertd serve"], "--listen", "127.0.0.1:0")...)
	key := func(command string) *cluster.Access {
		t.Helper()
		args := commands[command]
		if len(args) < 2 || args[0] != "--key" {
			t.Fatalf("%s: %q", command, args)
		}
		return &cluster.Access{Key: args[1]}
	}
	in, err := cluster.Inspect(t.Context(), url, key("concert status"))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if _, err := cluster.Dial(t.Context(), url, &cluster.Options{Access: *key("concert worker")}); err == nil || !strings.Contains(err.Error(), "has the role worker; the role must be client or admin: make such a key with 'concertd key") {
		t.Errorf("a client with the key of the worker: %v", err)
	}
	file := regexp.MustCompile(`Access\{Key: "(.*)"\}`).FindStringSubmatch(out)
	if file == nil {
		t.Fatalf("no key of a client: %s", out)
	}
	ex, err := cluster.Dial(t.Context(), url, &cluster.Options{Access: cluster.Access{Key: file[1]}})
	if err != nil {
		t.Fatal(err)
	}
	ex.Close()
	for _, role := range firstRoles {
		if info, err := os.Stat(keyFile(dir, role)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
	}

	_, before, _ := concertd(t, "keys", "--dir", dir)
	if code, out, errOut := concertd(t, "init", "--dir", dir); code != exitFailed || out != "" || !strings.Contains(errOut, "client.key exists; no key was made") {
		t.Errorf("the second time: %d, %q, %q", code, out, errOut)
	}
	for _, role := range firstRoles {
		if err := os.Rename(keyFile(dir, role), filepath.Join(t.TempDir(), "moved")); err != nil {
			t.Fatal(err)
		}
	}
	if code, out, errOut := concertd(t, "init", "--dir", dir); code != exitFailed || out != "" || !strings.Contains(errOut, "has keys already; no key was made; 'concertd keys --dir '") {
		t.Errorf("without the key files: %d, %q, %q", code, out, errOut)
	}
	if _, after, _ := concertd(t, "keys", "--dir", dir); after != before || strings.Count(after, "\n") != 4 {
		t.Errorf("the keys were\n%s, and are now\n%s", before, after)
	}
}

// TestInit_Repeat: after a failure, the command must leave neither a key file
// nor a key, so that it can be repeated.
func TestInit_Repeat(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no such links on Windows without a right")
	}
	dir := t.TempDir()
	last := filepath.Join(dir, "admin.key")
	if err := os.Symlink("none/admin.key", last); err != nil { // its target can neither be read nor made
		t.Fatal(err)
	}
	if code, _, errOut := concertd(t, "init", "--dir", dir); code != exitFailed || !strings.Contains(errOut, "admin.key exists; no key was made") {
		t.Errorf("%d, %q", code, errOut)
	}
	if _, out, errOut := concertd(t, "keys", "--dir", dir); out != "no keys\n" {
		t.Errorf("left: %q, %q", out, errOut)
	}
	if err := os.Remove(last); err != nil {
		t.Fatal(err)
	}
	if code, _, errOut := concertd(t, "init", "--dir", dir); code != exitOK {
		t.Errorf("again: %d, %q", code, errOut)
	}
}

// TestDefaultDir: the default directory must not have the name of this
// program. If a keyring is in the default directory of earlier versions, the
// command must not ignore it.
func TestDefaultDir(t *testing.T) {
	isolate(t)
	t.Chdir(t.TempDir())
	if err := os.WriteFile("concertd", nil, 0o700); err != nil { // the program
		t.Fatal(err)
	}
	if code, out, errOut := concertd(t, "init"); code != exitOK || !strings.Contains(out, "concertd serve --dir concert-server\n") {
		t.Errorf("next to the program: %d, %q, %q", code, out, errOut)
	}

	t.Chdir(t.TempDir())
	if code, _, errOut := concertd(t, "init", "--dir", "concertd"); code != exitOK {
		t.Fatal(errOut)
	}
	for _, args := range []string{"init", "serve", "key client ann", "keys", "revoke client"} {
		if code, _, errOut := concertd(t, strings.Fields(args)...); code != exitFailed || !strings.Contains(errOut, "add --dir concertd to the command, or stop the server and run 'mv concertd concert-server'") {
			t.Errorf("%s: %d, %q", args, code, errOut)
		}
	}
	if code, out, _ := concertd(t, "keys", "--dir", "concertd"); code != exitOK || strings.Count(out, "\n") != 4 {
		t.Errorf("with --dir: %d, %q", code, out)
	}
	if err := os.Rename("concertd", "concert-server"); err != nil {
		t.Fatal(err)
	}
	if code, out, _ := concertd(t, "keys"); code != exitOK || strings.Count(out, "\n") != 4 {
		t.Errorf("after mv: %d, %q", code, out)
	}
}
