package python

import (
	"bytes"
	"context"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"
)

// Without compiled code, an interpreter needs half of its start time to
// compile the worker. So New compiles the worker in advance if it starts
// many workers, or has already started several workers of this interpreter:
//
//	New --> process: compiles the source text --> New keeps the output
//	    \-> worker: the source text, and the output of that process
//
// The output depends on the version of Python. A worker of another version
// compiles the source text.

// compileAfter is the number of workers of an interpreter that must have
// started before New compiles the worker. In a program with one small pool,
// compilation by New would only cause a delay, because the workers compile
// the text concurrently.
const compileAfter = 3

// compileTime is the maximum run time of the process that compiles the
// worker.
const compileTime = 10 * time.Second

// compiler is the program of the process that compiles. For each module of
// the worker, it writes a line with the environment variable that the loader
// reads. The process runs with the options -I and -S, and thus runs no code
// of the user.
const compiler = `import binascii, marshal, os, sys
from _frozen_importlib_external import MAGIC_NUMBER
prefix = "` + workerVariable + `"
for name in list(os.environ):
    if name.startswith(prefix):
        part = name[len(prefix):]
        code = MAGIC_NUMBER + marshal.dumps(compile(os.environ[name], "<concert.%s>" % part, "exec"))
        sys.stdout.write("` + compiledVariable + `%s=%s\n" % (part, binascii.b2a_base64(code, newline=False).decode("ascii")))
`

const compiledVariable = "CONCERT_PYTHON_COMPILED_"

// compiled holds the compiled code of the worker.
var compiled struct {
	mu           sync.Mutex
	interpreters map[string]*compiledWorker // guarded by mu; by path
}

// compiledWorker is the compiled code for one interpreter.
type compiledWorker struct {
	workers   int // lower bound of the number of workers that New has started; guarded by compiled.mu
	variables func() []string
}

// compiledVariables returns environment variables with the compiled worker,
// for n workers. The parameter program is the path of the interpreter. The
// result is nil if the workers must compile the source text. There are two
// reasons for this: they are among the first workers of this interpreter, or
// the interpreter could not compile the worker.
func compiledVariables(program string, n int, env []string, dir string) []string {
	compiled.mu.Lock()
	c := compiled.interpreters[program]
	if c == nil {
		if compiled.interpreters == nil {
			compiled.interpreters = make(map[string]*compiledWorker)
		}
		c = &compiledWorker{variables: sync.OnceValue(func() []string { return compileWorker(program, env, dir, compileTime) })}
		compiled.interpreters[program] = c
	}
	worthwhile := c.workers >= compileAfter || n >= 2*runtime.GOMAXPROCS(0)
	c.workers += min(n, compileAfter)
	compiled.mu.Unlock()
	if !worthwhile {
		return nil
	}
	return c.variables()
}

// compileWorker runs an interpreter that compiles the worker. It returns nil if
// this fails, or takes longer than the limit.
func compileWorker(program string, env []string, dir string, limit time.Duration) []string {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "-I", "-S", "-c", compiler)
	cmd.Env, cmd.Dir, cmd.WaitDelay = env, dir, time.Second
	ownGroup(cmd)
	out, err := cmd.Output()
	if err != nil {
		return nil // the workers report what is wrong with the program
	}
	var variables []string
	for line := range bytes.Lines(out) {
		if entry := strings.TrimSpace(string(line)); strings.HasPrefix(entry, compiledVariable) {
			variables = append(variables, entry)
		}
	}
	return variables
}
