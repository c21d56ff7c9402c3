package conventions

import (
	"fmt"
	"go/ast"
	"go/token"
	"regexp"
	"strings"
)

const (
	maxColumns        = 80
	maxDiagramColumns = 100 // for tables and diagrams, which are indented comment lines
	tabColumns        = 4
)

// directive matches a comment that tools read, such as //go:build or //export.
var directive = regexp.MustCompile(`^//[a-z]+[: ]?[^ ]*`)

// commentWidth finds lines that contain only a comment and are too wide. It
// leaves out the expected output of examples, and lines with a URL.
func commentWidth(files []*goFile) (found []finding) {
	const rule = "comment width"
	for _, f := range files {
		code := linesWithCode(f)
		for _, group := range f.Comments {
			if isOutput(group) {
				continue
			}
			for _, c := range group.List {
				start := f.set.Position(c.Pos())
				if code[start.Line] || strings.HasPrefix(c.Text, "//") && !strings.HasPrefix(c.Text, "// ") && directive.MatchString(c.Text) {
					continue
				}
				for i, line := range strings.Split(c.Text, "\n") {
					width, limit := columns(line), maxColumns
					if i == 0 {
						width += (start.Column - 1) * tabColumns // gofmt indents by tabs
					}
					if text := strings.TrimPrefix(line, "//"); strings.HasPrefix(text, "\t") || strings.HasPrefix(text, "  ") {
						limit = maxDiagramColumns
					}
					if width > limit && !strings.Contains(line, "://") {
						found = append(found, finding{rule, f.name, start.Line + i,
							fmt.Sprintf("a comment of %d columns: wrap it at %d", width, limit)})
					}
				}
			}
		}
	}
	return found
}

// columns returns the width of a line.
func columns(line string) (n int) {
	for _, r := range line {
		if r == '\t' {
			n += tabColumns - n%tabColumns
		} else {
			n++
		}
	}
	return n
}

// linesWithCode returns the lines on which code ends. A comment that begins on
// such a line comes after code.
func linesWithCode(f *goFile) map[int]bool {
	lines := map[int]bool{}
	ast.Inspect(f.File, func(n ast.Node) bool {
		switch n := n.(type) {
		case nil:
		case *ast.CommentGroup, *ast.Comment:
			return false
		case *ast.BlockStmt: // a comment may follow its brace
			lines[f.line(n.Lbrace)] = true
			lines[f.line(n.End())] = true
		case *ast.File:
			lines[f.line(n.Name.End())] = true
		default:
			lines[f.line(n.Pos())] = true
			lines[f.line(n.End())] = true
		}
		return true
	})
	return lines
}

var outputComment = regexp.MustCompile(`(?i)^//\s*(unordered )?output:`)

// isOutput reports whether a comment is the expected output of an example.
func isOutput(group *ast.CommentGroup) bool { return outputComment.MatchString(group.List[0].Text) }

// docComments finds exported names without a doc comment that begins with the
// name. A constant or variable may instead have a comment for its group, or a
// comment at the end of its line. It leaves out commands and tests, whose
// names no package imports.
func docComments(files []*goFile) (found []finding) {
	const rule = "doc comment"
	for _, f := range files {
		if f.isTest() || f.Name.Name == "main" {
			continue
		}
		check := func(doc *ast.CommentGroup, name *ast.Ident) {
			if !name.IsExported() {
				return
			}
			if doc == nil {
				found = append(found, f.finding(rule, name.Pos(), "%s has no doc comment: write one that begins with %[1]s", name.Name))
				return
			}
			words := strings.Fields(doc.Text())
			if len(words) > 1 && (words[0] == "A" || words[0] == "An") {
				words = words[1:]
			}
			if len(words) == 0 || strings.TrimRight(words[0], ",:.;") != name.Name {
				found = append(found, f.finding(rule, name.Pos(), "the doc comment of %s does not begin with %[1]s", name.Name))
			}
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil || receiverExported(d.Recv) {
					check(d.Doc, d.Name)
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					switch s := s.(type) {
					case *ast.TypeSpec:
						if s.Doc == nil && !d.Lparen.IsValid() {
							s.Doc = d.Doc
						}
						check(s.Doc, s.Name)
					case *ast.ValueSpec:
						if !d.Lparen.IsValid() && len(s.Names) == 1 {
							check(d.Doc, s.Names[0])
						} else if d.Doc == nil && s.Doc == nil && s.Comment == nil && s.Names[0].IsExported() {
							check(nil, s.Names[0])
						}
					}
				}
			}
		}
	}
	return found
}

// receiverExported reports whether the type of a method is exported.
func receiverExported(recv *ast.FieldList) bool {
	t := recv.List[0].Type
	for {
		switch u := t.(type) {
		case *ast.StarExpr:
			t = u.X
		case *ast.IndexExpr:
			t = u.X
		case *ast.IndexListExpr:
			t = u.X
		case *ast.Ident:
			return token.IsExported(u.Name)
		default:
			return false
		}
	}
}
