package python

import (
	"embed"
	"fmt"
	"strings"
	"time"
)

//go:embed worker/*.py
var workerFiles embed.FS

// workerSource is the worker's modules: the name of each, a line's end, its
// text, and a separator. The first makes the others importable.
var workerSource = func() string {
	var b strings.Builder
	for _, name := range []string{"imports", "errors", "forms", "plain", "times", "arrays", "values", "results", "functions", "sources", "coroutines", "streams", "forks", "finish", "worker"} {
		text, err := workerFiles.ReadFile("worker/" + name + ".py")
		if err != nil {
			panic(err) // it is embedded
		}
		fmt.Fprintf(&b, "%s\n%s\x1e", name, text)
	}
	return b.String()
}()

// loader has the worker's source out of the environment, where it does not fill
// the listings of processes. It is Python that old interpreters understand as
// well: these say to the pool what they are, in frames of docs/wire.md.
//
// The worker imports what it needs from the standard library only, and not from
// the working directory or PYTHONPATH, where tasks look first. The interpreter
// does so, too, before it runs this: since 3.11 PYTHONSAFEPATH keeps the
// working directory out of the path, and here it is put back.
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
    concert = sys.modules["concert"] = type(sys)("concert", "What a task can say to the pool that it runs in.")
    concert.__path__ = []
    parts = dict(("concert." + part).split("\n", 1) for part in os.environ.pop("CONCERT_PYTHON_WORKER").split("\x1e")[:-1])
    imports = sys.modules["concert.imports"] = concert.imports = type(sys)("concert.imports")
    imports.__builtins__ = dict(vars(__import__("builtins")))
    exec(compile(parts["concert.imports"], "<concert.imports>", "exec"), imports.__dict__)
    imports.install(parts, own)
    from concert import worker
    worker.main()
start()
`

// patience is for how long a worker that the pool has released waits for
// threads that tasks have left. It then has as long to end before the pool
// kills it.
func patience(grace time.Duration) time.Duration {
	switch {
	case grace == 0:
		grace = 5 * time.Second // as processes.Options has it
	case grace < 100*time.Millisecond:
		grace = 100 * time.Millisecond
	}
	return grace / 2
}
