package python

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"concert/processes"
)

// notUTF8 returns all strings of at most four parts. A part is a character,
// the beginning or the middle of a character, or a byte that UTF-8 does not
// have. So most of these strings are not UTF-8.
func notUTF8() (all []string) {
	parts := []string{"a", "\u00e9", "\uFFFD", "\x80", "\xbf", "\xc3", "\xe2", "\x82", "\xed", "\xb3", "\xa0", "\xf0", "\xf4", "\x90", "\xff"}
	all = []string{""}
	for from := 0; len(all) < 20_000; {
		to := len(all)
		for _, s := range all[from:to] {
			for _, part := range parts {
				all = append(all, s+part)
			}
		}
		from = to
	}
	return all
}

// TestText_RoundTrip: each Go string must arrive as the str that os.fsdecode
// makes of its bytes, and must return unchanged.
func TestText_RoundTrip(t *testing.T) {
	t.Parallel()
	all := notUTF8()
	seen := make(map[string]string)
	for _, s := range all {
		b := string(appendEscaped(nil, s))
		if utf8.ValidString(s) != (b == s) {
			t.Fatalf("appendEscaped(%q) = %q", s, b)
		}
		if other, taken := seen[b]; taken && other != s {
			t.Fatalf("%q and %q are both %q", s, other, b)
		}
		seen[b] = s
		if back, ok := unescape([]byte(b)); back != s || !ok {
			t.Fatalf("unescape(%q) = %q, %t; want %q", b, back, ok, s)
		}
		if back, ok := unescape([]byte(s)); ok && string(appendEscaped(nil, back)) != s {
			t.Fatalf("unescape(%q) = %q, which is %q", s, back, appendEscaped(nil, back))
		}
	}
	eachInterpreter(t, func(t *testing.T, p *processes.Pool, numpy bool) {
		type pair struct {
			Text  string
			Bytes []byte
		}
		pairs := make([]pair, len(all))
		for i, s := range all {
			pairs[i] = pair{s, []byte(s)}
		}
		f := Source[[]pair, []string]("f", `
def f(pairs):
    for p in pairs:
        assert p["Text"] == p["Bytes"].decode("utf-8", "surrogateescape"), p
    return [p["Text"] for p in pairs]
`)
		back, err := submit(t, p, f, pairs)
		if err != nil || !slices.Equal(back, all) {
			t.Errorf("%d strings returned as %d, %v", len(all), len(back), err)
		}
		echo := Func[string, string]("tasks:echo")
		for _, s := range []string{"caf\xe9", "\xed\xb3\xa9", "\xc3", "\xff\u00e9\xfe", strings.Repeat("\xe9", 100_000)} {
			if back, err := submit(t, p, echo, s); back != s || err != nil {
				t.Errorf("%.20q returned as %.20q, %v", s, back, err)
			}
		}
	})
}

// TestText_Refused: if no Go string corresponds to a str, a result that
// contains this str at any depth must be refused. The error must have the
// path of the str.
func TestText_Refused(t *testing.T) {
	t.Parallel()
	p, err := New(1, interpreters(t)["fresh"])
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	evaluate := Func[string, any]("tasks:evaluate")
	for _, s := range []string{`\ud800`, `\udbff`, `\udc00`, `\udc7f`, `\udd00`, `\udfff`, `x\ud800\udce9`, `\udcc3\udca9`, `a\udce2\udc82\udcacb`, `\udcf0\udc9d\udc84\udc9e`} {
		for text, path := range map[string]string{
			`"%"`: "result: ", `["a", "%"]`: "result[1]: ", `{"%": 1}`: "result[a key]: ", `{"a": [{"b": "%"}]}`: `result["a"][0]["b"]: `,
			`{"%"}`: "result[0]: ", `pathlib.Path("%")`: "result: ", `Nested("%")`: `result["inner"]: `,
		} {
			got, err := submit(t, p, evaluate, strings.ReplaceAll(text, "%", s))
			if err == nil || !strings.Contains(err.Error(), ": python: "+path) || !strings.Contains(err.Error(), s) {
				t.Errorf("%s with %s is %q, %v; want an error with %q", text, s, got, err, path)
			}
		}
	}
}

// TestText_JSON: for a type that UnmarshalJSON decodes, text with surrogates
// must be refused. For a Go string, such text must be accepted.
func TestText_JSON(t *testing.T) {
	b, err := codec{}.Encode(map[string]any{"a": []any{"caf\xe9"}})
	if err != nil {
		t.Fatal(err)
	}
	var asJSON both
	var ok struct{ A []string }
	if err := decodeAll(b, reflect.ValueOf(&ok).Elem()); err != nil || ok.A[0] != "caf\xe9" {
		t.Errorf("as text: %q, %v", ok.A, err)
	}
	if err := decodeAll(b, reflect.ValueOf(&asJSON).Elem()); err == nil || !strings.Contains(err.Error(), `caf\udce9`) || !strings.Contains(err.Error(), "cannot be JSON") {
		t.Errorf("as JSON: %v", err)
	}
}

// TestText_Errors: if the text of an exception is not UTF-8, its bytes must
// arrive unchanged. If no Go string corresponds to the text, surrogates must
// arrive as escapes.
func TestText_Errors(t *testing.T) {
	t.Parallel()
	p, err := New(1, interpreters(t)["fresh"])
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	raises := Source[string, int]("raises", `
def raises(text):
    e = OSError(text)
    if hasattr(e, "add_note"):
        e.add_note(text)
    raise e
`)
	_, err = submit(t, p, raises, "caf\xe9")
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Message != "caf\xe9" || !strings.HasSuffix(err.Error(), "caf\xe9") || !strings.Contains(e.Traceback, "OSError: caf\xe9") || len(e.Notes) > 0 && e.Notes[0] != "caf\xe9" {
		t.Errorf("%q, %+v", err, e)
	}
	_, err = submit(t, p, Source[None, int]("lone", "def lone(): raise OSError('\\udcc3\\udca9')"), None{})
	if e, ok := errors.AsType[*Error](err); !ok || e.Message != `\udcc3\udca9` {
		t.Errorf("%q, %+v", err, e)
	}
}

// TestText_FileNames: file names that are not UTF-8 must arrive unchanged in
// both directions.
func TestText_FileNames(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	names := []string{"caf\xe9", "plain", "\xff\xfe", "\u00e9"}
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Skip("this file system has no such names: ", err)
		}
	}
	p, err := New(1, interpreters(t)["fresh"])
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	slices.Sort(names)
	found, err := submit(t, p, Func[string, []string]("os:listdir"), dir)
	slices.Sort(found)
	if err != nil || !slices.Equal(found, names) {
		t.Fatalf("os.listdir: %q, %v; want %q", found, err, names)
	}
	read := Source[any, []byte]("read", `
def read(path):
    with open(path, "rb") as f:
        return f.read()
`)
	for _, name := range found {
		path := filepath.Join(dir, name)
		for _, as := range []any{path, Path(path)} {
			if b, err := submit(t, p, read, as); string(b) != name || err != nil {
				t.Errorf("the file %T %q has %q, %v", as, name, b, err)
			}
		}
	}
	paths, err := submit(t, p, Source[Path, map[Path]bool]("files", "def files(p): return {f: f.is_file() for f in p.iterdir()}"), Path(dir))
	if err != nil || len(paths) != len(names) || !paths[Path(filepath.Join(dir, "caf\xe9"))] {
		t.Errorf("the paths are %v, %v", paths, err)
	}
}
