// Package page writes HTML pages. A page is one file without scripts, and
// refers to no other file. Its styles support light and dark screens, phones
// and paper.
package page

import (
	_ "embed"
	"html/template"
	"io"
	"sync"
)

// Page is the content of a page.
type Page struct {
	Title string
	Body  template.HTML
}

//go:embed page.css
var style string

var frame = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("page").Parse(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{{.Title}}</title>
<style>
{{.Style}}</style>
</head>
<body>
<main>
{{.Body}}</main>
</body>
</html>
`))
})

// Style returns the style sheet of all pages. It is for a page that is served
// together with other files.
func Style() string { return style }

// Write writes the page.
func Write(w io.Writer, p Page) error {
	return frame().Execute(w, struct {
		Page
		Style template.CSS
	}{p, template.CSS(style)})
}
