package main

import (
	"bytes"
	_ "embed"
	"html/template"
	"io"

	frame "concert/internal/page"
)

//go:embed tour.html
var tourText string

var tourBody = template.Must(template.New("tour").Funcs(template.FuncMap{
	"number": func(i int) int { return i + 1 },
}).Parse(tourText))

// page writes what the tour has said as a page.
func (t *tour) page(w io.Writer, where, end string) error {
	var body bytes.Buffer
	err := tourBody.Execute(&body, map[string]any{"Where": where, "Sections": t.sections, "Models": t.models, "End": end})
	if err != nil {
		return err
	}
	return frame.Write(w, frame.Page{Title: "A tour of concert", Body: template.HTML(body.String())})
}
