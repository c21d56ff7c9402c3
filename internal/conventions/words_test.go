package conventions

import (
	"fmt"
	"go/ast"
	"go/token"
	"regexp"
	"strconv"
	"strings"
)

// retired lists words that the project does not use, as regular expressions,
// and what to write instead. A space stands for any white space, so that a line
// break does not hide two words.
var retired = []struct{ words, instead string }{
	{"lest", "so that ... not"},
	{"likewise", "the same, or name the thing again"},
	{"whoever", "a caller, the holder, any goroutine"},
	{"somebody", "another goroutine, a client"},
	{"nobody", "no goroutine, no worker"},
	{"anybody", "any goroutine, any client"},
	{"meanwhile", "in the meantime, or concurrently"},
	{"once more", "again"},
	{"any more", "no longer"},
	{"for good", "permanently"},
	{"folders?", "directory"},
	// Spelling is American.
	{"behaviours?", "behavior"},
	{"colou(r|rs|red|ring|rful)", "color"},
	{"favou(r|rs|red|rite|rites)", "favor"},
	{"honou(r|rs|red|ring)", "honor"},
	{"neighbou(r|rs|ring)", "neighbor"},
	{"cancell(ed|ing)", "canceled, canceling"},
	{"label(led|ling)", "labeled, labeling"},
	{"marshall(ed|ing)", "marshaled, marshaling"},
	{"model(led|ling)", "modeled, modeling"},
	{"signall(ed|ing)", "signaled, signaling"},
	{"travell(ed|ing)", "traveled, traveling"},
	{"fulfil|fulfils", "fulfill"},
	{"catalogues?", "catalog"},
	{"centres?|centred", "center"},
	{"grey", "gray"},
	{"defence|licence", "defense, license"},
	{"artefacts?", "artifact"},
	{"whilst|amongst", "while, among"},
	{"analys(e|ed|es|ing)", "analyze"}, // also matches the plural of analysis: write "measurements" instead
	{"(initial|normal|organ|optim|real|recogn|serial|summar|util|synchron)is(e|ed|es|er|ers|ing|ation|ations)", "-ize, -ization"},
}

// findRetired matches all retired words; group i+1 is retired[i].
var findRetired = func() *regexp.Regexp {
	var all []string
	for _, r := range retired {
		all = append(all, "("+strings.ReplaceAll(strings.ReplaceAll(r.words, "(", "(?:"), " ", `\s+(?://\s*)?`)+")")
	}
	return regexp.MustCompile(`(?i)\b(?:` + strings.Join(all, "|") + `)\b`)
}()

// retiredWords finds retired words in comments, in the texts of errors, and in
// documents. It leaves out code: between back quotes, and in a document's
// blocks.
func retiredWords(files []*goFile, docs []document) (found []finding) {
	for _, f := range files {
		if strings.HasPrefix(f.name, "internal/conventions/") { // this package lists the retired words
			continue
		}
		for _, group := range f.Comments {
			var lines []string
			for _, c := range group.List {
				lines = append(lines, c.Text)
			}
			found = append(found, inText(f.name, f.line(group.Pos()), strings.Join(lines, "\n"))...)
		}
		ast.Inspect(f.File, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || !isErrorCall(call) {
				return true
			}
			for _, arg := range call.Args {
				found = append(found, inConstant(f, arg)...)
			}
			return true
		})
	}
	for _, d := range docs {
		found = append(found, inText(d.name, 1, blocks.ReplaceAllStringFunc(d.text, blank))...)
	}
	return found
}

// inConstant finds retired words in a string, or in strings joined by +.
func inConstant(f *goFile, e ast.Expr) []finding {
	switch e := e.(type) {
	case *ast.BinaryExpr:
		return append(inConstant(f, e.X), inConstant(f, e.Y)...)
	case *ast.BasicLit:
		if text, err := strconv.Unquote(e.Value); err == nil && e.Kind == token.STRING {
			return inText(f.name, f.line(e.Pos()), text)
		}
	}
	return nil
}

// isErrorCall reports whether a call is one of errors.New, fmt.Errorf or panic.
func isErrorCall(call *ast.CallExpr) bool {
	switch fn := call.Fun.(type) {
	case *ast.Ident:
		return fn.Name == "panic"
	case *ast.SelectorExpr:
		pkg, ok := fn.X.(*ast.Ident)
		return ok && (pkg.Name == "errors" && fn.Sel.Name == "New" || pkg.Name == "fmt" && fn.Sel.Name == "Errorf")
	}
	return false
}

var (
	blocks = regexp.MustCompile("(?ms)^ *```.*?^ *```")
	quotes = regexp.MustCompile("`[^`\n]*`")
)

// blank removes everything from a text except its line breaks.
func blank(text string) string { return strings.Repeat("\n", strings.Count(text, "\n")) }

// inText finds retired words in a text that begins at a line of a file.
func inText(file string, line int, text string) (found []finding) {
	text = quotes.ReplaceAllStringFunc(text, blank)
	for _, m := range findRetired.FindAllStringSubmatchIndex(text, -1) {
		for i, r := range retired {
			if m[2*i+2] >= 0 {
				word := strings.Join(strings.Fields(strings.ReplaceAll(text[m[0]:m[1]], "//", "")), " ")
				found = append(found, finding{"word " + strings.ToLower(word), file, line + strings.Count(text[:m[0]], "\n"),
					fmt.Sprintf("%q: write %s", word, r.instead)})
			}
		}
	}
	return found
}
