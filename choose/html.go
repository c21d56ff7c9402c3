package choose

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"concert/internal/page"
	"concert/internal/units"
)

//go:embed report.html
var reportText string

var reportBody = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("report").Funcs(template.FuncMap{
		"duration": durationText, "number": units.Number, "times": units.Times, "rangeText": rangeText, "percent": percent, "size": units.Bytes, "count": count,
		"chosen": (*Report).chosen, "total": (*Split).total, "text": quantityText,
		"share": func(part, all time.Duration) string {
			return fmt.Sprintf("%.1f%%", 100*float64(part)/float64(max(1, all)))
		},
	}).Parse(reportText))
})

// HTML writes the report as a page: a single file, without scripts, that
// loads no other file. The parameter about is a part of the title, and says
// what was measured, such as "gzip -k".
func (r *Report) HTML(w io.Writer, about string) error {
	var body bytes.Buffer
	about = strings.ToValidUTF8(about, "?")
	err := reportBody().Execute(&body, struct {
		*Report
		About     string
		Headline  string
		Sentences []string
		Curves    *chart
		Timeline  *timeline
		Split     bool
	}{r, about, r.headline(), r.sentences(), r.curves(), r.timeline(), r.hasSplit()})
	if err != nil {
		return err
	}
	return page.Write(w, page.Page{Title: "concert choose: " + about, Body: template.HTML(body.String())})
}

// headline returns the recommendation as a line that begins with the
// concurrency: "4 to 8 tasks with processes: 2.2x (1.88 to 2.5)".
func (r *Report) headline() string {
	v := &r.Verdict
	if v.Concurrency == 1 {
		return capitalize(v.Model) + ": concurrency gains nothing"
	}
	number := fmt.Sprint(v.Concurrency) + r.orMore()
	if v.EqualUpTo > v.Concurrency {
		number = fmt.Sprintf("%d to %d", v.Concurrency, v.EqualUpTo)
	}
	gain := "not measured"
	if v.Gain.Median > 0 {
		gain = gainText(v.Gain)
	}
	return fmt.Sprintf("%s tasks with %s: %s", number, v.Model, gain)
}

// sentences returns the sentence of the verdict in two parts: the kind of the
// work, if it is known, and the recommendation.
func (r *Report) sentences() []string {
	kind := r.Kind.Sentence
	if rest, ok := strings.CutPrefix(r.Verdict.Sentence, kind+" "); ok && kind != "" {
		return []string{kind, rest}
	}
	return []string{r.Verdict.Sentence}
}

// hasSplit reports whether at least one point has a Split.
func (r *Report) hasSplit() bool {
	return slices.ContainsFunc(r.Points, func(p Point) bool { return p.Split != nil })
}

// chosen reports whether the point is the recommended one.
func (r *Report) chosen(p Point) bool {
	return p.Model == r.Verdict.Model && p.Concurrency == r.Verdict.Concurrency
}

// total returns the mean duration of a task.
func (s *Split) total() time.Duration { return s.CPU + s.Wait + s.Queue }
