package python

import (
	"embed"
	"sync"
	"time"
)

//go:embed worker/*.py
var workerFiles embed.FS

// workerVariables returns environment variables with the source text of the
// modules of the worker. Each module has its own variable, because Linux
// limits the size of a variable to 128 KiB.
var workerVariables = sync.OnceValue(func() (variables []string) {
	for _, name := range []string{"imports", "errors", "forms", "plain", "times", "arrays", "values", "results", "functions", "sources", "coroutines", "streams", "forks", "finish", "shared", "mapped", "tracing", "lists", "quick", "worker"} {
		text, err := workerFiles.ReadFile("worker/" + name + ".py")
		if err != nil {
			panic(err) // cannot happen: the file is embedded
		}
		variables = append(variables, workerVariable+name+"="+string(text))
	}
	return variables
})

const workerVariable = "CONCERT_PYTHON_WORKER_"

// loader is the program of an interpreter. It reads the worker's source text
// from the environment. If the text were an argument, it would fill the
// output of ps. The loader must also run in an interpreter before 3.8.
// There, it sends the pool the frames of docs/wire.md which report that the
// interpreter is too old.
//
// Imports of the worker find only modules of the standard library. Imports
// of tasks search the working directory and PYTHONPATH first. Before it runs
// the loader, the interpreter itself imports modules. These imports must not
// find files in the working directory, so New sets PYTHONSAFEPATH. With this
// variable, Python 3.11 and later do not add the working directory to
// sys.path. The loader adds it later.
const loader = `import os, sys
def start():
    if sys.version_info < (3, 8):
        text = ("python %s is too old: 3.8 or later is needed" % sys.version.split()[0]).encode("ascii")
        out = int(os.environ["CONCERT_WORKER"].split("files=")[1].split(",")[1])
        for frame in b"Hconcert\1\0\0\0\0\0\0\0", b"B\xa1\2\x78" + bytes(bytearray([len(text)])) + text:
            os.write(out, bytes(bytearray([len(frame), 0, 0, 0])) + frame)
        os._exit(111)
    if os.environ.pop("CONCERT_PYTHON_UNSAFE", None):
        del os.environ["PYTHONSAFEPATH"]
        if sys.path[:1] != [""]:
            sys.path.insert(0, "")
    user = [os.path.abspath(p) for p in os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    own = [os.path.dirname(os.__file__)] + [p for p in sys.path if p and os.path.abspath(p) not in user]
    concert = sys.modules["concert"] = type(sys)("concert", "Functions and exceptions for tasks in a pool of concert.")
    concert.__path__ = []
    def pop(prefix):
        return dict(("concert." + name[len(prefix):], os.environ.pop(name)) for name in list(os.environ) if name.startswith(prefix))
    parts, compiled = pop("` + workerVariable + `"), pop("` + compiledVariable + `")
    imports = sys.modules["concert.imports"] = concert.imports = type(sys)("concert.imports")
    imports.__builtins__ = dict(vars(__import__("builtins")))
    exec(compile(parts["concert.imports"], "<concert.imports>", "exec"), imports.__dict__)
    imports.install(parts, compiled, own)
    from concert import worker
    worker.main()
start()
`

// threadTime returns the maximum time that an exiting worker waits for
// threads that tasks have started. It is half of the grace. The rest of the
// exit gets the other half. After the grace, the pool kills the worker.
func threadTime(grace time.Duration) time.Duration {
	switch {
	case grace == 0:
		grace = 5 * time.Second // the default of processes.Options
	case grace < 100*time.Millisecond:
		grace = 100 * time.Millisecond
	}
	return grace / 2
}
