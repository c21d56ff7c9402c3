package python

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"concert/processes"
)

// evilExceptions has classes of exceptions. If the worker reads an attribute
// of such an exception, or calls a method, another exception is raised. Each
// function raises such an exception, or returns a value that causes one when
// the worker sends it.
const evilExceptions = `
import concert, os

class Text(str):
    def encode(self, *a): return b"wrong"
    def __radd__(self, other): raise SystemExit("radd")
    def __eq__(self, other): raise SystemExit("eq")
    def __len__(self): raise SystemExit("len")
    __hash__ = str.__hash__

def refusing(*names):
    def get(self, name):
        if name in names or "*" in names:
            raise SystemExit("no " + name)
        return object.__getattribute__(self, name)
    return get

class Notes(list):
    def __iter__(self): raise SystemExit("iter")
    def __getitem__(self, i): raise SystemExit("getitem")

def with_raise(kind):
    def method(self, *a): raise kind("of a method")
    return method

def evil(name):
    if name == "metaclass":
        class M(type):
            def __getattribute__(self, name): raise RuntimeError("no " + name)
            def __instancecheck__(self, x): raise RuntimeError("instancecheck")
            def __subclasscheck__(self, x): raise RuntimeError("subclasscheck")
            def __hash__(self): raise RuntimeError("hash")
            def __eq__(self, other): raise RuntimeError("eq")
            def __repr__(self): raise RuntimeError("repr")
        class Evil(Exception, metaclass=M): pass
    elif name == "metaclass exits":
        class M(type):
            __getattribute__ = refusing("*")
        class Evil(Exception, metaclass=M): pass
    elif name == "metaclass lies":
        class M(type):
            __qualname__ = property(lambda self: 5)
            __module__ = property(lambda self: None)
            __mro__ = property(lambda self: 1)
        class Evil(Exception, metaclass=M): pass
    elif name == "attributes":
        class Evil(Exception):
            __getattribute__ = refusing("*")
    elif name == "module":
        class Evil(Exception): __module__ = 5
    elif name == "module text":
        class Evil(Exception): __module__ = Text("m")
    elif name == "name text":
        Evil = type(Text("Evil"), (Exception,), {"__qualname__": Text("Evil"), "__module__": "m"})
    elif name == "class":
        class Evil(Exception):
            @property
            def __class__(self): raise RuntimeError("class")
    elif name == "class lies":
        class Evil(Exception):
            __class__ = concert.Canceled
    elif name == "traceback":
        class Evil(Exception):
            @property
            def __traceback__(self): raise RuntimeError("traceback")
    elif name == "causes":
        class Evil(Exception):
            @property
            def __cause__(self): raise KeyboardInterrupt("cause")
            __context__ = __suppress_context__ = __cause__
    elif name == "args":
        class Evil(Exception):
            @property
            def args(self): raise RuntimeError("args")
            __reduce__ = __reduce_ex__ = with_raise(RuntimeError)
    elif name == "notes":
        class Evil(Exception):
            @property
            def __notes__(self): raise RuntimeError("notes")
    elif name == "notes list":
        class Evil(Exception): __notes__ = Notes(["a"])
    elif name == "notes text":
        class Evil(Exception): __notes__ = [Text("a"), 5, Exception()]
    elif name == "str text":
        class Evil(Exception): __str__ = lambda self: Text("the text")
    elif name == "canceled":
        class Evil(concert.Canceled):
            __setattr__ = with_raise(RuntimeError)
            __str__ = with_raise(RuntimeError)
    else:
        kinds = {"exception": RuntimeError, "exit": SystemExit, "interrupt": KeyboardInterrupt, "generator exit": GeneratorExit, "base": BaseException, "memory": MemoryError, "recursion": RecursionError}
        class Evil(Exception):
            __str__ = __repr__ = with_raise(kinds[name])
    return Evil

def fail(name):
    raise evil(name)()

async def fail_async(name):
    raise evil(name)()

def base(name):
    class Base(evil(name), BaseException): pass
    raise Base

def group(name):
    e = ValueError("outer")
    e.__cause__ = evil(name)()
    raise e

class Unprintable:
    def __init__(self, name): self.__reduce__ = self.__str__ = evil(name)

def value(name):
    class V:
        def __repr__(self): raise evil(name)()
    return [V()]

def key(name):
    class V(dict):
        def items(self): raise evil(name)()
    return V()

`

var evils = []string{
	"metaclass", "metaclass exits", "metaclass lies", "attributes", "module", "module text", "name text", "class", "class lies", "traceback", "causes", "args", "notes", "notes list", "notes text",
	"str text", "canceled", "exception", "exit", "interrupt", "generator exit", "base", "memory", "recursion",
}

// TestError_PartRaises: while the worker reads a part of an exception,
// another exception of any class is raised. Only the task may fail, and the
// interpreter must continue.
func TestError_PartRaises(t *testing.T) {
	t.Parallel()
	all := interpreters(t)
	maps.DeleteFunc(all, func(name string, _ *Options) bool { return !slices.Contains([]string{"fresh", "3.8", "3.13"}, name) })
	for version, o := range all {
		t.Run(version, func(t *testing.T) {
			o.Timeout = 30 * time.Second
			p, err := New(1, o)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			pid := Func[None, int]("os:getpid")
			before, err := submit(t, p, pid, None{})
			if err != nil {
				t.Fatal(err)
			}
			for _, where := range []string{"fail", "fail_async", "base", "group", "value", "key"} {
				t.Run(where, func(t *testing.T) {
					for _, name := range evils {
						_, err := submit(t, p, Source[string, any](where, evilExceptions), name)
						if _, died := errors.AsType[*processes.WorkerError](err); err == nil || died {
							t.Errorf("%s of %s: %v", where, name, err)
						}
						e, ok := errors.AsType[*Error](err)
						if !ok && where != "value" {
							t.Errorf("%s of %s: %v, a %T", where, name, err, err)
						}
						if where == "fail" && ok && !strings.HasPrefix(name, "metaclass") && !strings.HasSuffix(e.Type, "Evil") { // if there is a metaclass, Python itself raises another exception
							t.Errorf("%s of %s: the type is %q", where, name, e.Type)
						}
					}
					if after, err := submit(t, p, pid, None{}); err != nil || after != before {
						t.Fatalf("%s: the interpreter was %d, and is %d, %v", where, before, after, err)
					}
				})
			}
		})
	}
}
