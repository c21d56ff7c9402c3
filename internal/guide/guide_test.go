// Package guide tests the pages of docs. The code in guide.md and
// from-python.md must be the code of tested examples. Other pages may also
// have such code. If a page names a test or a file, it must exist. The line
// before a block of code names its example, or a whole program:
//
//	<!-- goroutines/example_test.go Example_threads -->
//	<!-- prometheus/example/main.go -->
//
// Run go test ./internal/guide -update to copy the examples into the pages
// again.
package guide

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "copy the examples into the guide")

var root = filepath.Join("..", "..")

// exampleBlock matches a block of code, with the comment that names its
// example.
var exampleBlock = regexp.MustCompile("(?s)<!-- (\\S+)( \\S+)? -->\n```go\n(.*?)```\n")

func TestGuide(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		name := filepath.Base(page)
		t.Run(name, func(t *testing.T) { testPage(t, page, name == "guide.md" || name == "from-python.md") })
	}
}

// testPage compares the code of a page with the examples. If all is set, each
// block of Go must name an example.
func testPage(t *testing.T, name string, all bool) {
	page, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	text := string(page)
	blocks := exampleBlock.FindAllStringSubmatch(text, -1)
	if n := strings.Count(text, "```go"); all && (n != len(blocks) || n == 0) {
		t.Errorf("%d blocks of Go, of which %d name an example", n, len(blocks))
	}
	for _, b := range blocks {
		want := example(t, filepath.Join(root, b[1]), strings.TrimSpace(b[2]))
		if b[3] == want {
			continue
		}
		if !*update {
			t.Errorf("the block of %s%s is not the example; run this test with -update", b[1], b[2])
		}
		text = strings.Replace(text, b[0], "<!-- "+b[1]+b[2]+" -->\n```go\n"+want+"```\n", 1)
	}
	if *update && text != string(page) {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// example returns the source of the function with the given name, without its
// Output comment. If the name is empty, it returns the whole file.
func example(t *testing.T, file, name string) string {
	t.Helper()
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if name == "" {
		return string(source)
	}
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, file, source, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range parsed.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Name.Name == name {
			code := string(source[files.Position(f.Pos()).Offset:files.Position(f.End()).Offset])
			if at := strings.Index(code, "\t// Output:"); at >= 0 {
				code = code[:at] + "}"
			}
			return code + "\n"
		}
	}
	t.Fatalf("%s has no function %s", file, name)
	return ""
}

// TestLinks: if a page of the project links to a file, the file must exist.
func TestLinks(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range append(pages, filepath.Join(root, "README.md"), filepath.Join(root, "CONTRIBUTING.md")) {
		text, err := os.ReadFile(p)
		if err != nil {
			t.Error(err)
			continue
		}
		prose := regexp.MustCompile("(?s)```.*?```|`[^`\n]*`").ReplaceAll(text, nil) // without code, because f[T](x) is no link
		for _, l := range regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`).FindAllStringSubmatch(string(prose), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(p), l[1])); err != nil {
				t.Errorf("%s links to %s, which does not exist", filepath.Base(p), l[1])
			}
		}
	}
}

// TestNames: if a page names a test or a benchmark, it must exist.
func TestNames(t *testing.T) {
	have := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Benchmark|Example)\w*)\(`)
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(p, "_test.go") {
			return err
		}
		text, err := os.ReadFile(p)
		for _, m := range declared.FindAllSubmatch(text, -1) {
			have[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil || len(pages) == 0 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	for _, p := range pages {
		text, err := os.ReadFile(p)
		if err != nil {
			t.Error(err)
		}
		for _, name := range regexp.MustCompile(`\b(?:Test|Benchmark|Example)[A-Z]\w*|\bExample_\w+`).FindAllString(string(text), -1) {
			if !have[name] {
				t.Errorf("%s names %s, which does not exist", filepath.Base(p), name)
			}
		}
	}
}
