package inputs

import (
	"strings"
	"testing"
)

// paths has the results of GNU parallel 20221122 for {.} {/} {//} {/.}. Cases
// with a line feed are different: GNU parallel only uses the directory of the
// first line.
var paths = []struct{ path, stem, base, directory, both string }{
	{"a/b.c.d", "a/b.c", "b.c.d", "a", "b.c"},
	{"x", "x", "x", ".", "x"},
	{".hidden", "", ".hidden", ".", ""},
	{"dir.d/file", "dir.d/file", "file", "dir.d", "file"},
	{"/abs", "/abs", "abs", "/", "abs"},
	{"a/", "a/", "", ".", ""},
	{"a/b/", "a/b/", "", "a", ""},
	{"/", "/", "", "/", ""},
	{"", "", "", ".", ""},
	{".", "", ".", ".", ""},
	{"..", ".", "..", ".", "."},
	{"a//b.c", "a//b", "b.c", "a", "b"},
	{"a b/c d.e f", "a b/c d", "c d.e f", "a b", "c d"},
	{"dir/.hid", "dir/", ".hid", "dir", ""},
	{"./x.y", "./x", "x.y", ".", "x"},
	{"a.", "a", "a.", ".", "a"},
	{"a.b/", "a.b/", "", ".", ""},
	{"//x.y", "//x", "x.y", "/", "x"},
	{"...", "..", "...", ".", ".."},
	{"d/a\ne/f.g", "d/a\ne/f", "f.g", "d/a\ne", "f"},
	{"a.b\n", "a", "a.b\n", ".", "a"},
}

func TestTransform_AsGNUParallel(t *testing.T) {
	for _, p := range paths {
		got := []string{transform(p.path, "."), transform(p.path, "/"), transform(p.path, "//"), transform(p.path, "/.")}
		want := []string{p.stem, p.base, p.directory, p.both}
		if strings.Join(got, "\x00") != strings.Join(want, "\x00") {
			t.Errorf("%q gives %q, want %q", p.path, got, want)
		}
	}
}
