package conventions

import (
	"go/ast"
	"go/token"
	"strconv"
	"strings"
)

// errorPrefixes finds exported error variables whose text does not begin with
// the name of their package. An internal package passes its errors to another
// package, which adds its own name.
func errorPrefixes(files []*goFile) (found []finding) {
	const rule = "error prefix"
	for _, f := range files {
		if f.isTest() || f.Name.Name == "main" || isInternal(f) {
			continue
		}
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, s := range g.Specs {
				for i, value := range s.(*ast.ValueSpec).Values {
					name := s.(*ast.ValueSpec).Names[i]
					text, ok := errorText(value)
					if !ok || !name.IsExported() {
						continue
					}
					want := f.Name.Name
					if want == "executor" {
						want = "concert" // package concert exports the errors of package executor
					}
					if !strings.HasPrefix(text, want+": ") {
						found = append(found, f.finding(rule, name.Pos(), "the text of %s begins with %.20q: begin it with %q", name.Name, text, want+": "))
					}
				}
			}
		}
	}
	return found
}

// errorText returns the text of errors.New("text") and fmt.Errorf("text").
func errorText(e ast.Expr) (string, bool) {
	call, ok := e.(*ast.CallExpr)
	if !ok || len(call.Args) == 0 {
		return "", false
	}
	fn, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return "", false
	}
	pkg, ok := fn.X.(*ast.Ident)
	if !ok || pkg.Name+"."+fn.Sel.Name != "errors.New" && pkg.Name+"."+fn.Sel.Name != "fmt.Errorf" {
		return "", false
	}
	lit, ok := call.Args[0].(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(lit.Value)
	return text, err == nil
}
