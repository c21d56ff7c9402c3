package python

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"concert/internal/pythontest"
)

// partOf returns the form in which a worker got a module: "str" for source
// text, and "code" for compiled code.
var partOf = Source[None, string]("part", `
def part():
    from concert import imports
    return type(imports.finder.parts["concert.worker"]).__name__
`)

// startedWith starts a worker and returns the type of its modules.
func startedWith(t *testing.T, program string, env []string) string {
	t.Helper()
	p, err := New(1, &Options{Interpreter: program, Env: env})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	part, err := submit(t, p, partOf, None{})
	if err != nil {
		t.Fatal(err)
	}
	return part
}

// TestCompiled_AfterSeveralWorkers: the first workers of an interpreter must
// compile the source text. Later workers must get compiled code.
func TestCompiled_AfterSeveralWorkers(t *testing.T) {
	t.Parallel()
	pythontest.Need(t)
	programs := installed()
	programs["fresh"], _ = exec.LookPath("python3")
	for name, program := range programs {
		t.Run(name, func(t *testing.T) {
			program = wrapper(t, fmt.Sprintf("exec %s \"$@\"", program))
			for i := range compileAfter + 2 {
				want := "str"
				if i >= compileAfter {
					want = "code"
				}
				if got := startedWith(t, program, nil); got != want {
					t.Errorf("after %d workers, a worker has modules of type %s, want %s", i, got, want)
				}
			}
		})
	}
}

// TestCompiled_NotUsable: if the interpreter cannot compile the worker, or
// compiles it for another version of Python, the workers must compile the
// source text.
func TestCompiled_NotUsable(t *testing.T) {
	t.Parallel()
	pythontest.Need(t)
	for name, compiles := range map[string]string{
		"fails":   `exit 1`,
		"silent":  `exit 0`,
		"partly":  `python3 "$@" | head -c 100000; exit 0`,
		"version": `exec python3 -I -S -c "$(printf %s "$4" | sed 's/= MAGIC_NUMBER/= b"0000"/')"`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ran := filepath.Join(t.TempDir(), "ran")
			program := wrapper(t, fmt.Sprintf("case $1 in -I) echo >%s; %s;; esac\nexec python3 \"$@\"", ran, compiles))
			for range compileAfter + 1 {
				if got := startedWith(t, program, nil); got != "str" {
					t.Errorf("a worker has modules of type %s, want str", got)
				}
			}
			if _, err := os.Stat(ran); err != nil {
				t.Error("New did not run the program to compile the worker: ", err)
			}
		})
	}
}

// TestCompiled_ManyWorkers: all workers of a large pool must get compiled
// code.
func TestCompiled_ManyWorkers(t *testing.T) {
	t.Parallel()
	pythontest.Need(t)
	p, err := New(2*runtime.GOMAXPROCS(0), &Options{Interpreter: wrapper(t, `exec python3 "$@"`)})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if part, err := submit(t, p, partOf, None{}); part != "code" || err != nil {
		t.Errorf("the modules are of type %s, %v; want code", part, err)
	}
}

// TestCompiled_LargeEnvironment: with the compiled code, an environment may
// be so large that the system refuses it. The workers must then compile the
// source text.
func TestCompiled_LargeEnvironment(t *testing.T) {
	t.Parallel()
	pythontest.Need(t)
	program := wrapper(t, `exec python3 "$@"`)
	for range compileAfter {
		startedWith(t, program, nil)
	}
	env := os.Environ()
	for i := range 14 {
		env = append(env, fmt.Sprintf("LARGE_%d=%s", i, strings.Repeat("x", 127<<10)))
	}
	if got := startedWith(t, program, env); got != "str" {
		t.Errorf("a worker has modules of type %s, want str", got)
	}
}

// wrapper writes a shell script and returns its path.
func wrapper(t *testing.T, script string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "python3")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"+script+"\n"), 0o777); err != nil {
		t.Fatal(err)
	}
	return program
}
