package tour

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"sync"
	"time"

	frame "concert/internal/page"
	"concert/progress"
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
	err := bodyTemplate().Execute(&body, map[string]any{"Where": where, "Sections": t.sections, "Models": t.models, "Doubt": t.doubt(), "Conclusions": t.conclusions(), "End": end})
	if err != nil {
		return err
	}
	return frame.Write(w, frame.Page{Title: "A tour of concert", Body: template.HTML(body.String())})
}

// step is a line of a section with its bar in the timeline of the section.
type step struct {
	line
	Left, Width string // position and width of the bar, in percent
}

// Steps returns the lines of a section with their bars. The bars are one after
// the other, and together as wide as the timeline.
func (s *section) Steps() (all []step) {
	percent := func(d time.Duration) string { return fmt.Sprintf("%.2f%%", 100*float64(d)/float64(max(1, s.sum()))) }
	var begin time.Duration
	for _, l := range s.Lines {
		all = append(all, step{l, percent(begin), percent(l.Took)})
		begin += l.Took
	}
	return all
}

// Total returns the end of the timeline. It is empty if no line has a time.
func (s *section) Total() string {
	if s.sum() == 0 {
		return ""
	}
	return progress.Duration(s.sum())
}

func (s *section) sum() (sum time.Duration) {
	for _, l := range s.Lines {
		sum += l.Took
	}
	return sum
}
