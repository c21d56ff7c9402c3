package main

import (
	"crypto/md5"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/rogpeppe/go-internal/testscript"

	"concert/cmd/concert/internal/jobs/supervisor"
	"concert/processes"
)

// TestMain makes the test binary usable as the command concert. Scripts run
// this command, and so do tests that kill a process.
func TestMain(m *testing.M) {
	supervisor.Main()
	processes.Main()
	flag.Set("test.parallel", "6") // parallel tests mostly wait
	testscript.Main(m, map[string]func(){"concert": main})
}

// process returns a command that starts concert with the given arguments as a
// process.
func process(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath("concert") // the directory in which TestMain put it
	if err != nil {
		t.Fatal(err)
	}
	return exec.CommandContext(t.Context(), path, args...)
}

// callIn runs a command line in a directory, as a process of its own. So its
// measurements do not include other tests.
func callIn(t *testing.T, dir string, args ...string) (code int, out, errOut string) {
	t.Helper()
	cmd := process(t, args...)
	var o, e strings.Builder
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &o, &e
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), o.String(), e.String()
}

// TestScripts runs the scripts under testdata. Each script tests a behavior
// that a user of the command sees in a shell. $SITE is the URL of a server with
// faults (see faulty). In addition to the commands of testscript, the scripts
// may use:
//
//	envlist FILE                     replaces variables in the file by their values
//	utf16 FILE                       encodes the file in UTF-16 with a byte order mark
//	exits CODE PROGRAM ARGUMENT...   runs the program; the exit code must be CODE
//	whole FILE [NAME]                the file must have the content of the server's
//	                                 file NAME (default: the name of the file)
//	dir DIR [NAME...]                the directory must have exactly these files
//	asked PATH N                     the server must have got N requests for PATH
//	release                          the server sends the rest of files under /held
//	until FILE SIZE                  waits until the file has SIZE bytes
//	smalldisk DIR SIZE               makes the directory a disk with SIZE bytes
//	readonly DIR [SUB...]            makes a directory that is read-only; the
//	                                 directories SUB in it are not
//
// The scripts may also use the conditions [root] and [mount]. The condition
// [mount] holds if the process has the right to mount.
func TestScripts(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{"testdata/get", "testdata/map", "testdata/command"} {
		testscript.Run(t, testscript.Params{
			Dir:                 dir,
			RequireExplicitExec: true,
			RequireUniqueNames:  true,
			Setup: func(env *testscript.Env) error {
				f := newFaulty()
				env.Defer(f.Close)
				env.Values[siteKey{}] = f
				env.Setenv("SITE", f.URL)
				for _, name := range []string{"a", "b", "c"} {
					env.Setenv("SHA256_"+name, checksum(name))
					env.Setenv("MD5_"+name, fmt.Sprintf("%x", md5.Sum(body(name))))
				}
				env.Setenv("NETRC", "") // no passwords of the user who runs the tests
				return nil
			},
			Condition: func(name string) (bool, error) {
				switch name {
				case "root":
					return os.Geteuid() == 0, nil
				case "mount":
					unmount, err := mountMemory(t.TempDir(), "")
					if err == nil {
						unmount()
					}
					return err == nil, nil
				}
				return false, fmt.Errorf("no condition %q", name)
			},
			Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
				"envlist": scriptEnvList, "utf16": scriptUTF16, "exits": scriptExits, "whole": scriptWhole, "dir": scriptDir, "asked": scriptAsked,
				"release": scriptRelease, "until": scriptUntil, "smalldisk": scriptSmallDisk, "readonly": scriptReadOnly,
			},
		})
	}
}

type siteKey struct{}

// need ends a script whose command has the wrong number of arguments.
func need(ts *testscript.TestScript, neg, ok bool, usage string) {
	if neg || !ok {
		ts.Fatalf("usage: %s", usage)
	}
}

func scriptEnvList(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, len(args) == 1, "envlist FILE")
	text := os.Expand(ts.ReadFile(args[0]), ts.Getenv)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o666))
}

func scriptUTF16(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, len(args) == 1, "utf16 FILE")
	var b []byte
	for _, unit := range utf16.Encode([]rune("\ufeff" + ts.ReadFile(args[0]))) {
		b = binary.LittleEndian.AppendUint16(b, unit)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o666))
}

func scriptExits(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, len(args) >= 2, "exits CODE PROGRAM ARGUMENT...")
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		code = exit.ExitCode()
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

func scriptWhole(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, len(args) == 1 || len(args) == 2, "whole FILE [NAME]")
	name := args[len(args)-1]
	if name == args[0] {
		name = name[strings.LastIndex(name, "/")+1:]
	}
	if got := ts.ReadFile(args[0]); got != string(body(name)) {
		ts.Fatalf("%s has %d bytes, which are not the %d bytes of the file %s on the server", args[0], len(got), len(body(name)), name)
	}
}

func scriptDir(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, len(args) >= 1, "dir DIR [NAME...]")
	entries, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if got, want := strings.Join(names, " "), strings.Join(args[1:], " "); got != want {
		ts.Fatalf("in %s are %q, want %q", args[0], got, want)
	}
}

func scriptAsked(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, len(args) == 2, "asked PATH N")
	if got := fmt.Sprint(ts.Value(siteKey{}).(*faulty).requests(args[0])); got != args[1] {
		ts.Fatalf("the server was asked for %s %s times, want %s", args[0], got, args[1])
	}
}

func scriptRelease(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, len(args) == 0, "release")
	ts.Value(siteKey{}).(*faulty).release()
}

func scriptUntil(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, len(args) == 2, "until FILE SIZE")
	size, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if info, err := os.Stat(ts.MkAbs(args[0])); err == nil && info.Size() >= size {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s never had %d bytes", args[0], size)
		}
	}
}

func scriptSmallDisk(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, len(args) == 2, "smalldisk DIR SIZE")
	size, err := strconv.Atoi(args[1])
	ts.Check(err)
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o777))
	unmount, err := mountMemory(dir, fmt.Sprintf("size=%d", size))
	ts.Check(err)
	ts.Defer(unmount)
}

func scriptReadOnly(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, len(args) >= 1, "readonly DIR [SUB...]")
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o777))
	isRoot := os.Geteuid() == 0
	mount := func(dir string) {
		if isRoot { // root may write in any other directory that is read-only
			unmount, err := mountMemory(dir, "")
			ts.Check(err)
			ts.Defer(unmount)
		}
	}
	mount(dir)
	for _, name := range args[1:] {
		ts.Check(os.Mkdir(filepath.Join(dir, name), 0o777))
		mount(filepath.Join(dir, name))
	}
	if isRoot {
		ts.Check(makeMountReadOnly(dir))
	} else {
		ts.Check(os.Chmod(dir, 0o555))
	}
}
