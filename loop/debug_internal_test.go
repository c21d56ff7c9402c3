package loop

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestFunctionNames: the package searches stacks for the names of some
// functions. These names must have the form of names in stacks, and must begin
// with the import path of the package.
func TestFunctionNames(t *testing.T) {
	names := append(startFunctions(), waitFunctions()...)
	for _, name := range names {
		if !inPackage(name) || strings.HasSuffix(name, "-fm") || strings.Contains(name, ".func") {
			t.Errorf("function %q is not a function or method of package %q", name, packagePath)
		}
	}
	for i, want := range []string{"(*Task).run", "(*Loop).runOnCaller", "(*Portal).Run", "caller.parkLocked"} {
		if got := names[i]; got != packagePath+"."+want {
			t.Errorf("function %d is %q, want %q", i, got, packagePath+"."+want)
		}
	}
	if inPackage(packagePath+"_test.TestStall_Reported") || inPackage(packagePath+"test.Find") {
		t.Error("inPackage is true for a function of another package")
	}
}

// TestNoPathInStrings: no string of the package may contain the import path
// of the package. So to rename the module, it suffices to rewrite the
// imports.
func TestNoPathInStrings(t *testing.T) {
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	files := token.NewFileSet()
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") {
			continue
		}
		file, err := parser.ParseFile(files, e.Name(), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if _, ok := n.(*ast.ImportSpec); ok {
				return false
			}
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			if text, err := strconv.Unquote(lit.Value); err == nil && strings.Contains(text, packagePath) {
				t.Errorf("%s: the string %s contains the import path of the package", files.Position(lit.Pos()), lit.Value)
			}
			return true
		})
	}
}
