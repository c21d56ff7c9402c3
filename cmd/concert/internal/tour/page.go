package tour

import (
	"bytes"
	_ "embed"
	"html/template"
	"io"
	"sync"

	frame "concert/internal/page"
)

//go:embed tour.html
var bodyText string

var bodyTemplate = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("tour").Funcs(template.FuncMap{
		"number": func(i int) int { return i + 1 },
	}).Parse(bodyText))
})

// page writes the tour as an HTML page.
func (t *tour) page(w io.Writer, where, end string) error {
	var body bytes.Buffer
	err := bodyTemplate().Execute(&body, map[string]any{"Where": where, "Sections": t.sections, "Models": t.models, "Doubt": t.doubt(), "End": end})
	if err != nil {
		return err
	}
	return frame.Write(w, frame.Page{Title: "A tour of concert", Body: template.HTML(body.String())})
}
