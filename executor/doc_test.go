package executor_test

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDoc_Files: the list of files in doc.go has each file of the package,
// and no other file.
func TestDoc_Files(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(doc), "# The files\n")
	list, _, _ = strings.Cut(list, "# The corners\n")
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	files = slices.DeleteFunc(files, func(name string) bool { return name == "doc.go" || strings.HasSuffix(name, "_test.go") })
	listed := make(map[string]bool)
	for _, pattern := range regexp.MustCompile(`[\w*]+\.go`).FindAllString(list, -1) {
		found := false
		for _, name := range files {
			if ok, _ := path.Match(pattern, name); ok {
				found, listed[name] = true, true
			}
		}
		if !found {
			t.Errorf("doc.go lists %s, but no file has this name", pattern)
		}
	}
	for _, name := range files {
		if !listed[name] {
			t.Errorf("doc.go does not list %s", name)
		}
	}
}
