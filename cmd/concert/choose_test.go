package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"concert/choose"
	"concert/choose/usage"
	"concert/cmd/concert/internal/cli"
	"concert/internal/pythontest"
)

func TestChoose_WrongUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "no work: name a command, or use --py or --get"},
		{[]string{"true"}, "no inputs"}, // the standard input of a test is empty
		{[]string{"true", ":::"}, "nothing after :::"},
		{[]string{"no-such-program", ":::", "a"}, `"no-such-program": executable file not found`},
		{[]string{"{}", ":::", "true"}, "the program itself cannot be {}"},
		{[]string{"--budget", "10ms", "true", ":::", "a"}, "--budget takes a second or more"},
		{[]string{"--runs", "0", "true", ":::", "a"}, "--runs takes 1 or more"},
		{[]string{"--max", "0", "true", ":::", "a"}, "--max takes 1 to 10000"},
		{[]string{"--py", "statistics", ":::", "a"}, "want MODULE:FUNCTION"},
		{[]string{"--py", "a:b", "--get", ":::", "a"}, "exclude each other"},
		{[]string{"--python", "python3", "true", ":::", "a"}, "--python is for --py only"},
		{[]string{"--py", "a:b", "c", ":::", "a"}, `unexpected argument "c"`},
		{[]string{"--get", ":::", "example.com/a"}, "input 1"},
		{[]string{"--frob", "true", ":::", "a"}, "frob"},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			code, out, errOut := call(t.Context(), append([]string{"choose"}, c.args...)...)
			if code != cli.ExitUsage || out != "" || !strings.Contains(errOut, c.want) {
				t.Errorf("choose %q: exit %d, %q, %q; want 2 and %q", c.args, code, out, errOut, c.want)
			}
		})
	}
}

// chosen runs choose with --json in a directory, and returns the report. The
// verdict may be a guess, because the machine may be busy.
func chosen(t *testing.T, dir string, args ...string) (r choose.Report) {
	t.Helper()
	code, out, errOut := callIn(t, dir, append([]string{"choose", "--json"}, args...)...)
	if code != cli.ExitOK && code != cli.ExitGuess {
		t.Fatalf("exit %d: %s", code, errOut)
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if (code == cli.ExitGuess) != (r.Verdict.Certainty == choose.Unclear) {
		t.Errorf("exit %d, and the verdict is %s", code, r.Verdict.Certainty)
	}
	if !strings.Contains(errOut, "repeatedly") || !strings.Contains(errOut, "One run alone takes") {
		t.Errorf("choose does not print what it is going to do: %s", errOut)
	}
	return r
}

func TestChoose_Command(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	page, events, log := filepath.Join(dir, "page.html"), filepath.Join(dir, "trace.json"), filepath.Join(dir, "log")
	// An input with characters that are special in a shell.
	input := "it's $HOME; `true`"
	script := `sleep 0.02; [ "$1" = "$2" ] && echo run >> "$3"`
	r := chosen(t, dir, "--budget", "60s", "--runs", "150", "--html", page, "--trace", events, "sh", "-c", script, "sh", "{}", input, log, ":::", input, input)
	if r.Verdict.Model != "processes" || r.Verdict.Gain.Median < 1.5 || !strings.HasPrefix(r.Verdict.Code, `concert map -j `) {
		t.Errorf("work that sleeps: %+v", r.Verdict)
	}
	if p := r.Profile; p.Wall < 20*time.Millisecond || !p.Knows(usage.CPUTime) || p.CPU > p.Wall || p.Failed > 0 {
		t.Errorf("the profile is %+v", p)
	}
	runs, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(runs), "run\n"); n != r.Runs || n > 150 {
		t.Errorf("the work ran %d times; the report has %d runs, and --runs is 150", n, r.Runs)
	}
	if text, err := os.ReadFile(page); err != nil || !strings.Contains(string(text), "</html>") {
		t.Errorf("the page: %v", err)
	}
	var file struct{ TraceEvents []map[string]any }
	text, err := os.ReadFile(events)
	if err == nil {
		err = json.Unmarshal(text, &file)
	}
	if err != nil || len(file.TraceEvents) < 20 {
		t.Errorf("the trace has %d events: %v", len(file.TraceEvents), err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestChoose_WorkFails(t *testing.T) {
	t.Parallel()
	code, out, errOut := call(t.Context(), "choose", "sh", "-c", "echo oh no >&2; exit 3", ":::", "a")
	if code != cli.ExitFailed || out != "" || !strings.Contains(errOut, "the work fails when it runs alone") || !strings.Contains(errOut, "exit status 3: oh no") {
		t.Errorf("exit %d, %q, %q", code, out, errOut)
	}
	code, _, errOut = callIn(t, "", "choose", "--budget", "1s", "sleep", ":::", "60")
	if code != cli.ExitFailed || !strings.Contains(errOut, "one run takes longer than the budget of 1s") || !strings.Contains(errOut, "I/O-bound: a run waits for") {
		t.Errorf("exit %d, %q", code, errOut)
	}
	ran := filepath.Join(t.TempDir(), "ran")
	code, _, errOut = call(t.Context(), "choose", "--html", "/no/such/directory/page.html", "touch", ":::", ran)
	if code != cli.ExitFailed || !strings.Contains(errOut, "cannot write /no/such/directory/page.html") {
		t.Errorf("exit %d, %q", code, errOut)
	}
	if _, err := os.Stat(ran); err == nil {
		t.Error("choose ran the work before it found that it cannot write the page")
	}
}

// TestChoose_Interrupted: if the command choose is interrupted, it must print
// what it has measured so far, and must leave no process behind.
func TestChoose_Interrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const mark, some = "0.0423", 80 // after some runs, choose has measured more than the profile
	ran := filepath.Join(t.TempDir(), "ran")
	go func() {
		for ctx.Err() == nil {
			if text, _ := os.ReadFile(ran); len(text) >= some {
				cancel()
			}
			time.Sleep(time.Millisecond)
		}
	}()
	code, out, _ := call(ctx, "choose", "--budget", "20s", "sh", "-c", "printf . >>"+ran+"; exec sleep {}", ":::", mark)
	if code != cli.ExitSignal || !strings.Contains(out, "it was interrupted after") {
		t.Errorf("exit %d: %s", code, out)
	}
	if pids, err := exec.Command("pgrep", "-f", "^sleep "+mark).Output(); err == nil {
		t.Errorf("left running: %s", pids)
	}
}

func TestChoose_Python(t *testing.T) {
	t.Parallel()
	pythontest.Need(t)
	dir := t.TempDir()
	text := "import asyncio, time\n\ndef nap(s):\n    print('nothing to see')\n    time.sleep(s['for'])\n\nasync def later(s):\n    await asyncio.sleep(s)\n\ndef wrapper(s):\n    return later(s)\n"
	if err := os.WriteFile(filepath.Join(dir, "naps.py"), []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	// The number of runs ends the measurements, and not the budget, because on
	// a busy machine the start of each interpreter takes seconds.
	t.Run("nap", func(t *testing.T) {
		t.Parallel()
		r := chosen(t, dir, "--budget", "60s", "--runs", "200", "--max", "8", "--py", "naps:nap", ":::", `{"for": 0.03}`)
		if r.Verdict.Gain.Median < 1.5 || !strings.HasPrefix(r.Verdict.Code, "concert map -j ") {
			t.Errorf("work that sleeps: %+v", r.Verdict)
		}
		if p := r.Profile; p.Wall < 30*time.Millisecond || p.CPUShare() > 0.5 {
			t.Errorf("the profile is %+v", p)
		}
	})
	for _, f := range []string{"naps:later", "naps:wrapper"} {
		t.Run(f, func(t *testing.T) {
			t.Parallel()
			if r := chosen(t, dir, "--budget", "60s", "--runs", "40", "--max", "4", "--py", f, ":::", "0.03"); !strings.HasPrefix(r.Verdict.PythonCode, "asyncio.") {
				t.Errorf("the line of Python for a function whose calls return coroutines is %q, want a call of asyncio", r.Verdict.PythonCode)
			}
		})
	}
	code, _, errOut := callIn(t, dir, "choose", "--py", "naps:none", ":::", "1")
	if code != cli.ExitFailed || !strings.Contains(errOut, "AttributeError") {
		t.Errorf("exit %d, %q", code, errOut)
	}
}

// TestChoose_PythonSlowImport: the import of a module is part of the budget.
func TestChoose_PythonSlowImport(t *testing.T) {
	t.Parallel()
	pythontest.Need(t)
	for _, row := range []struct {
		imports, budget string
		want            int
	}{
		{"time.sleep(60)", "2s", cli.ExitFailed},
		{"time.sleep(1)", "5s", cli.ExitOK}, // on a busy machine, an import takes longer
	} {
		t.Run(row.imports, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			text := "import time\n" + row.imports + "\n\ndef nap(s):\n    time.sleep(s)\n"
			if err := os.WriteFile(filepath.Join(dir, "slow.py"), []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
			code, out, errOut := callIn(t, dir, "choose", "--json", "--budget", row.budget, "--py", "slow:nap", ":::", "0.01")
			if code != row.want || code == cli.ExitFailed && !strings.Contains(errOut, "importing the module of slow:nap has not ended") {
				t.Errorf("exit %d, want %d: %s", code, row.want, errOut)
			}
			var r choose.Report
			if err := json.Unmarshal([]byte(out), &r); row.want == cli.ExitOK && (err != nil || r.Took < time.Second || r.Kind.Kind != choose.IOBound) {
				t.Errorf("%v, the report says that it took %v: %s", err, r.Took, out)
			}
		})
	}
}

// TestChoose_PythonInterrupted: an interruption must end choose soon, also
// while a module is imported that does not react.
func TestChoose_PythonInterrupted(t *testing.T) {
	pythontest.Need(t)
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.WriteFile("never.py", []byte("import time\nopen('began', 'w').close()\ntime.sleep(60)\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var begin time.Time
	go func() {
		for ctx.Err() == nil {
			if _, err := os.Stat(filepath.Join(dir, "began")); err == nil {
				begin = time.Now()
				stop()
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	code, _, errOut := call(ctx, "choose", "--py", "never:f", ":::", "1")
	if took := time.Since(begin); code == 0 || ctx.Err() == nil || took > 30*time.Second { // the import takes 60 s
		t.Errorf("exit %d after %v: %s", code, took, errOut)
	}
}

func TestChoose_Get(t *testing.T) {
	f := newFaulty()
	defer f.Close()
	t.Setenv("TMPDIR", t.TempDir())
	r := chosen(t, "", "--budget", "2s", "--max", "4", "--runs", "400", "--get", ":::", f.URL+"/plain/a", f.URL+"/plain/b")
	if r.Profile.Failed > 0 || r.Verdict.Model == "" {
		t.Errorf("%+v", r)
	}
	if left, _ := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}
