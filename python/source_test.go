package python_test

import (
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"

	"concert"
	"concert/internal/logtest"
	"concert/processes"
	"concert/python"
)

// TestSource_SameAsFile: source text must have the same effects as a file of
// a module.
func TestSource_SameAsFile(t *testing.T) {
	t.Parallel()
	p := newPool(t, 1, nil)
	for what, c := range map[string]struct {
		name, text string
		want       any
	}{
		"dataclass":   {"f", "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\ndef f(): return P(1)\n", map[string]any{"x": int64(1)}},
		"type hints":  {"f", "from __future__ import annotations\nimport typing\nclass P:\n    x: P\ndef f(): return typing.get_type_hints(P)['x'] is P\n", true},
		"named tuple": {"f", "import collections, pickle\nP = collections.namedtuple('P', 'x')\ndef f(): return pickle.loads(pickle.dumps(P(1))).x\n", int64(1)},
		"enum":        {"f", "import enum, pickle\nclass E(enum.Enum):\n    A = 1\ndef f(): return pickle.loads(pickle.dumps(E.A)) is E.A\n", true},
		"pickle":      {"f", "import pickle\ndef sq(x): return x * x\ndef f(): return pickle.loads(pickle.dumps(sq)) is sq\n", true},
		"pool":        {"f", "import multiprocessing\ndef sq(x): return x * x\ndef f():\n    with multiprocessing.get_context('fork').Pool(2) as p: return p.map(sq, [1, 2, 3])\n", []any{int64(1), int64(4), int64(9)}},
		"getsource":   {"f", "import inspect\ndef f(): return inspect.getsource(f)\n", "def f(): return inspect.getsource(f)\n"},
		"of a class":  {"f", "import inspect\nclass C:\n    x = 1\ndef f(): return inspect.getsource(C)\n", "class C:\n    x = 1\n"},
		"after clear": {"f", "import inspect, linecache\ndef f():\n    linecache.checkcache()\n    return inspect.getsource(f).split()[0]\n", "def"},
		"indented":    {"f", "\n\t\t# of a comment\n\n\t\tdef f():\n\t\t\treturn '''\n\ta\n'''\n", "\n\ta\n"},
		"with spaces": {"f", "\n    import math\n    \n    def f():\n        return math.factorial(3)\n  ", int64(6)},
		"line ends":   {"f", "def f():\r\n    return 1\r\n", int64(1)},
		"class":       {"F().g", "class F:\n    n = 0\n    def g(self):\n        self.n += 1\n        return self.n\n", int64(1)},
		"arguments":   {"F('a.b', n=(1, -2)).g", "class F:\n    def __init__(self, s, n): self.s, self.n = s, n\n    def g(self): return [self.s, *self.n]\n", []any{"a.b", int64(1), int64(-2)}},
		"nested":      {"A.B().f", "class A:\n    class B:\n        def f(self): return __name__.split('_')[0]\n", "source"},
		"recursive":   {"f", "def f(n=3): return 1 if n == 0 else n * f(n - 1)\n", int64(6)},
	} {
		t.Run(what, func(t *testing.T) {
			if got, err := call(t, p, python.Source[python.None, any](c.name, c.text), python.None{}); !reflect.DeepEqual(got, c.want) || err != nil {
				t.Errorf("%#v, %v; want %#v", got, err, c.want)
			}
		})
	}
}

// TestSource_FunctionsShareModule: functions of the same text must share a
// module, and functions of different texts must have different modules.
func TestSource_FunctionsShareModule(t *testing.T) {
	t.Parallel()
	p := newPool(t, 1, nil)
	const text = "made = 0\nclass C:\n    def __init__(self):\n        global made\n        made += 1\n    def a(self): return made\n    def b(self): return made\n"
	for _, name := range []string{"C().a", "C().b", "C().a"} {
		if got, err := call(t, p, python.Source[python.None, int](name, text), python.None{}); got != 1 || err != nil {
			t.Errorf("%s() = %d, %v; want 1", name, got, err)
		}
	}
	if got, err := call(t, p, python.Source[python.None, int]("C().a", text+"# another\n"), python.None{}); got != 1 || err != nil {
		t.Errorf("of another text: %d, %v; want 1", got, err)
	}
}

// TestSource_Errors: if source text has a mistake, the error must show the
// line of the mistake, but not the whole text.
func TestSource_Errors(t *testing.T) {
	t.Parallel()
	var out logtest.Buffer
	p := newPool(t, 1, &python.Options{Output: slog.New(slog.NewTextHandler(&out, nil))})
	const secret = "# a secret of the text\n"
	for what, c := range map[string]struct{ name, text, kind, message, traceback string }{
		"syntax":     {"f", "def f(:\n", "SyntaxError", "", "def f(:"},
		"undefined":  {"f", "x = 1\n", "AttributeError", "the source defines no 'f'", ""},
		"empty":      {"f", "", "AttributeError", "the source defines no 'f'", ""},
		"text fails": {"f", "import math\nmath.sqrt(-1)\n", "ValueError", "math domain error", "math.sqrt(-1)"},
		"raises":     {"f", "class Mine(LookupError):\n    pass\ndef f():\n    raise Mine('x')\n", "Mine", "x", "raise Mine('x')"},
		"prints":     {"f", "def f():\n    print('words')\n    raise ValueError('x')\n", "ValueError", "x", "raise ValueError('x')"},
		"no literal": {"F(g()).f", "class F: pass\n", "ValueError", "only literals can be arguments", ""},
	} {
		t.Run(what, func(t *testing.T) {
			text := c.text
			if text != "" {
				text += secret
			}
			_, err := call(t, p, python.Source[python.None, any](c.name, text), python.None{})
			e, ok := errors.AsType[*python.Error](err)
			if !ok || e.Type != c.kind || !strings.Contains(e.Message, c.message) || !strings.Contains(e.Traceback, c.traceback) {
				t.Fatalf("%v, %+v; want %+v", err, e, c)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error has the whole text: %v", err)
			}
		})
	}
	f := python.Source[any, any]("f", "def f(v):\n    pass\n"+secret)
	_, err := call[any, any](t, p, f, make(chan int))
	if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), ":f") {
		t.Errorf("an argument that cannot be sent: %v", err)
	}
	_, err = call(t, p, python.Source[python.None, any]("f", "import os\ndef f():\n    os._exit(3)\n"+secret), python.None{})
	if e, ok := errors.AsType[*processes.WorkerError](err); !ok || strings.Contains(err.Error()+e.Task, "secret") || !strings.HasSuffix(e.Task, ":f") {
		t.Errorf("a death: %v", err)
	}
	if _, err := f(t.Context(), nil); !errors.Is(err, concert.ErrElsewhere) || strings.Contains(err.Error(), "secret") {
		t.Errorf("called here: %v", err)
	}
	p.Close()
	if strings.Contains(out.String(), "secret") || !strings.Contains(out.String(), "words") {
		t.Errorf("printed:\n%s", out.String())
	}
}

// TestFunc_Arguments: it must be possible to use calls with literals in the
// name of a function.
func TestFunc_Arguments(t *testing.T) {
	t.Parallel()
	p := newPool(t, 1, nil)
	for where, want := range map[string]string{
		"datetime:date(2026, 11, 28).isoformat":                                       "2026-11-28",
		"datetime:date(2026, 11, day=28).isoformat":                                   "2026-11-28",
		"datetime:date(2026, 11, 28).replace(2025).isoformat":                         "2025-11-28",
		"decimal:Decimal('-1.5').__str__":                                             "-1.5",
		"decimal:Decimal(\"2.50\").normalize().__str__":                               "2.5",
		"fractions:Fraction(3, -4).__str__":                                           "-3/4",
		"collections:OrderedDict([('a.b(', {'c': None})]).__repr__().__str__().lower": "",
	} {
		t.Run(where, func(t *testing.T) {
			got, err := call(t, p, python.Func[python.None, string](where), python.None{})
			if want != "" && got != want || err != nil {
				t.Errorf("%s() = %v, %v; want %v", where, got, err, want)
			}
		})
	}
}

// TestFunc_BadName: if a name cannot be the name of a function, Func,
// Stream, Names and Source must panic, and the panic must contain the name
// and the reason. Package pyname tests more names.
func TestFunc_BadName(t *testing.T) {
	for _, where := range []string{
		"", "math", "math:", ":f", "math: sqrt", "m n:f", "math:sqrt()\n", "math:f (1)", "math:f('\n').g", "math:9", "math:a-b", "math:a..b", ".math:f", "math:lambda x: x",
	} {
		for caller, declare := range map[string]func(){
			"Func":   func() { python.Func[int, int](where) },
			"Stream": func() { python.Stream[int, int](where) },
			"Names":  func() { python.Names(where) },
		} {
			t.Run(fmt.Sprintf("%s(%q)", caller, where), func(t *testing.T) {
				defer func() {
					text, _ := recover().(string)
					if caller == "Names" {
						caller = "Func"
					}
					if want := fmt.Sprintf("python: %s(%q): want ", caller, where); !strings.HasPrefix(text, want) {
						t.Errorf("panic(%q), want %q and the reason", text, want)
					}
				}()
				declare()
			})
		}
	}
	for _, name := range []string{"", "9", "a b", "a-b", "f[0]", "f\n", ".f"} {
		t.Run(fmt.Sprintf("Source(%q)", name), func(t *testing.T) {
			defer func() {
				if text, _ := recover().(string); !strings.HasPrefix(text, fmt.Sprintf("python: Source(%q): want ", name)) {
					t.Errorf("panic(%q), want the name and the reason", text)
				}
			}()
			python.Source[int, int](name, "def f(x): return x")
		})
	}
}

// TestSource_RunsAgainAfterFailure: if the run of a text fails, the next
// call must run the text again. It must not use the incomplete module of the
// first run.
func TestSource_RunsAgainAfterFailure(t *testing.T) {
	t.Parallel()
	p := newPool(t, 1, nil)
	f := python.Source[python.None, int]("f", `
import sys

def f():
    return done

if not hasattr(sys, "concert_test_failed"):
    sys.concert_test_failed = True
    raise OSError("the first time")
done = 5
`)
	if _, err := call(t, p, f, python.None{}); !errors.Is(err, python.Type("OSError")) {
		t.Errorf("the first call: %v, want an OSError", err)
	}
	if n, err := call(t, p, f, python.None{}); n != 5 || err != nil {
		t.Errorf("the second call: %d, %v; want 5", n, err)
	}
}

// TestConverts_RegisteredLate: instances of a class were refused, and then a
// conversion of this class is registered. The conversion must apply to later
// results.
func TestConverts_RegisteredLate(t *testing.T) {
	t.Parallel()
	p := newPool(t, 1, nil)
	const text = `
import concert

class Money:
    cents = 7

def refused():
    return [Money()]

def converted():
    concert.converts(Money)(lambda m: m.cents)
    return [Money()]
`
	if _, err := call(t, p, python.Source[python.None, []int]("refused", text), python.None{}); err == nil || !strings.Contains(err.Error(), "concert.converts") {
		t.Errorf("before: %v", err)
	}
	if got, err := call(t, p, python.Source[python.None, []int]("converted", text), python.None{}); len(got) != 1 || got[0] != 7 || err != nil {
		t.Errorf("after: %v, %v", got, err)
	}
}

// TestConverts_Class: if a class cannot have a conversion, the decorator
// must raise TypeError. For other classes, the conversion must apply at
// every depth of a result.
func TestConverts_Class(t *testing.T) {
	t.Parallel()
	p := newPool(t, 1, nil)
	for what, want := range map[string]string{
		"int": "always sent as it is", "dict": "always sent as it is", "type(None)": "always sent as it is",
		"len": "takes a class", "5": "takes a class",
	} {
		t.Run(what, func(t *testing.T) {
			text := fmt.Sprintf("import concert\n@concert.converts(%s)\ndef converted(v):\n    return 1\n", what)
			if _, err := call(t, p, python.Source[int, int]("converted", text), 1); !errors.Is(err, python.Type("TypeError")) || !strings.Contains(err.Error(), want) {
				t.Errorf("converts(%s): %v, want %q", what, err, want)
			}
		})
	}
	const text = `
import array, concert

class Number(int):
    pass

values = {"number": Number(5), "array": array.array("d", [1.5]), "view": memoryview(b"abc")}
for value in values.values():
    concert.converts(type(value))(lambda v: "converted " + type(v).__name__)

def direct(name):
    return values[name]

def nested(name):
    return [{"a": values[name]}]
`
	direct, nested := python.Source[string, any]("direct", text), python.Source[string, []map[string]string]("nested", text)
	for name, kind := range map[string]string{"number": "Number", "array": "array", "view": "memoryview"} {
		t.Run(name, func(t *testing.T) {
			if got, err := call(t, p, direct, name); got != "converted "+kind || err != nil {
				t.Errorf("%s: %v, %v", name, got, err)
			}
			if got, err := call(t, p, nested, name); err != nil || got[0]["a"] != "converted "+kind {
				t.Errorf("%s within a list: %v, %v", name, got, err)
			}
		})
	}
}

// TestError_NotesNotText: if some notes of an exception are not text, the
// error must have only the notes that are text.
func TestError_NotesNotText(t *testing.T) {
	t.Parallel()
	p := newPool(t, 1, nil)
	f := python.Source[python.None, int]("f", `
def f():
    e = ValueError("x")
    e.__notes__ = [1, "first", None, "second"]
    raise e
`)
	_, err := call(t, p, f, python.None{})
	if e, ok := errors.AsType[*python.Error](err); !ok || !slices.Equal(e.Notes, []string{"first", "second"}) {
		t.Errorf("%v, %+v", err, e)
	}
}
