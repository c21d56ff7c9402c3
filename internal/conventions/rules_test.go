package conventions

import (
	"slices"
	"strings"
	"testing"
)

// TestRules: each rule must find the mistake in a text, and must find nothing
// in the same text without the mistake.
func TestRules(t *testing.T) {
	wide := strings.Repeat("word ", 20)
	for _, c := range []struct {
		name         string
		rule         func([]*goFile) []finding
		file         string
		wrong, right string // the text after the package clause
		want         string
	}{
		{"width", commentWidth, "a/a.go", "// " + wide, "// " + wide[:70], "a/a.go:3: a comment of 103 columns: wrap it at 80 (comment width)"},
		{"width of a diagram", commentWidth, "a/a.go", "//\t" + wide, "//\t" + wide[:90], "a/a.go:3: a comment of 104 columns: wrap it at 100 (comment width)"},
		{"width in a function", commentWidth, "a/a.go", "func f() {\n\t// " + wide[:75] + "\n}", "func f() { // " + wide + "\n}",
			"a/a.go:4: a comment of 82 columns: wrap it at 80 (comment width)"},
		{"width of a URL", commentWidth, "a/a.go", "// " + wide, "// https://" + wide, "a/a.go:3: a comment of 103 columns: wrap it at 80 (comment width)"},
		{"width of a directive", commentWidth, "a/a.go", "// " + wide, "//go:generate " + wide, "a/a.go:3: a comment of 103 columns: wrap it at 80 (comment width)"},
		{"width of output", commentWidth, "a/a_test.go", "// " + wide, "// Output:\n// " + wide, "a/a_test.go:3: a comment of 103 columns: wrap it at 80 (comment width)"},

		{"no doc comment", docComments, "a/a.go", "func F() {}", "func f() {}", "a/a.go:3: F has no doc comment: write one that begins with F (doc comment)"},
		{"another name", docComments, "a/a.go", "// G is.\ntype F int", "// A F is.\ntype F int", "a/a.go:4: the doc comment of F does not begin with F (doc comment)"},
		{"method", docComments, "a/a.go", "func (x *T[E]) F() {}", "func (x *t[E]) F() {}", "a/a.go:3: F has no doc comment: write one that begins with F (doc comment)"},
		{"constants", docComments, "a/a.go", "const (\n\tF = 1\n)", "// Some.\nconst (\n\tF = 1\n)", "a/a.go:4: F has no doc comment: write one that begins with F (doc comment)"},
		{"variable", docComments, "a/a.go", "// The one.\nvar F = 1", "// F is the one.\nvar F = 1", "a/a.go:4: the doc comment of F does not begin with F (doc comment)"},

		{"errors.New", errorPrefixes, "a/a.go", `var ErrF = errors.New("f")`, `var ErrF = errors.New("p: f")`,
			`a/a.go:3: the text of ErrF begins with "f": begin it with "p: " (error prefix)`},
		{"fmt.Errorf", errorPrefixes, "a/a.go", `var ErrF = fmt.Errorf("f")`, `var errF = fmt.Errorf("f")`,
			`a/a.go:3: the text of ErrF begins with "f": begin it with "p: " (error prefix)`},

		{"New", entryExamples, "a/a.go", "func NewThing() {}", "func Thing() {}", "a/a.go:3: NewThing has no example: write ExampleNewThing with its Output (example)"},
		{"context", entryExamples, "a/a.go", "func Run(ctx context.Context) {}", "func Run(n int, ctx context.Context) {}",
			"a/a.go:3: Run has no example: write ExampleRun with its Output (example)"},

		{"module path", modulePaths, "a/a.go", "var p = \"" + modulePath + "/loop.x\"", "import p \"" + modulePath + "/loop\"",
			`a/a.go:3: "` + modulePath + `/loop.x" contains the path of a package: use reflect.Type.PkgPath (module path)`},

		{"comment", words, "a/a.go", "// Nobody.", "// `Nobody`.", `a/a.go:3: "Nobody": write no goroutine, no worker (word nobody)`},
		{"two words", words, "a/a.go", "// Not any\n// more.", "// Not any.\n\n// More.", `a/a.go:3: "any more": write no longer (word any more)`},
		{"error", words, "a/a.go", `var e = fmt.Errorf("a: " + "colour")`, `var e = "colour"`, `a/a.go:3: "colour": write color (word colour)`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := apply(t, c.rule, c.file, c.wrong); !slices.Equal(got, []string{c.want}) {
				t.Errorf("the mistake: found %q, want %q", got, c.want)
			}
			if got := apply(t, c.rule, c.file, c.right); len(got) > 0 {
				t.Errorf("without the mistake: found %q", got)
			}
		})
	}
}

func words(files []*goFile) []finding { return retiredWords(files, nil) }

// apply applies a rule to a file of package p.
func apply(t *testing.T, rule func([]*goFile) []finding, name, text string) (found []string) {
	t.Helper()
	f, err := parse(name, []byte("package p\n\n"+text+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range rule([]*goFile{f}) {
		found = append(found, f.String())
	}
	return found
}

// TestEntryExamples: an example counts only if it runs, and it runs only if it
// has an Output comment.
func TestEntryExamples(t *testing.T) {
	code, err := parse("a/a.go", []byte("package p\nfunc New() {}"))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]int{
		"func ExampleNew() {}":                        1,
		"func ExampleNew_b() {\n// Output: 1\n}":      0,
		"func ExampleOther() {\n// Output: 1\n}":      1,
		"func Example() { a.New()\n// Output: 1\n}":   0,
		"func Example_b() { b.New()\n// Output: 1\n}": 1,
		"func ExampleNew() {\n// Output:\n}":          0,
	} {
		test, err := parse("a/a_test.go", []byte("package p\n"+text))
		if err != nil {
			t.Fatal(err)
		}
		if got := entryExamples([]*goFile{code, test}); len(got) != want {
			t.Errorf("%s: found %v, want %d", text, got, want)
		}
	}
}

// TestDocuments: retiredWords must leave out code in documents, and must
// return the right line.
func TestDocuments(t *testing.T) {
	got := retiredWords(nil, []document{{"docs/a.md", "one\n```\nnobody\n```\n`nobody` two\nfor\ngood\n"}})
	if len(got) != 1 || got[0].String() != `docs/a.md:6: "for good": write permanently (word for good)` {
		t.Errorf("found %v", got)
	}
}

// TestExempted: the exemption of a directory must also hold for the directories
// in it. The exemption of the root must not.
func TestExempted(t *testing.T) {
	defer func(old map[string]string) { exempt = old }(exempt)
	exempt = map[string]string{"r": ". a/b"}
	for file, want := range map[string]string{"x.go": ".", "y/x.go": "", "a/b/x.go": "a/b", "a/b/c/x.go": "a/b", "a/bc/x.go": ""} {
		if dir, ok := exempted(finding{rule: "r", file: file}); dir != want || ok != (want != "") {
			t.Errorf("%s is exempted by %q, want %q", file, dir, want)
		}
	}
}
