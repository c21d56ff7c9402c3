package prometheus

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"concert/goroutines"
)

// dashboard has the fields of grafana-dashboard.json that the test needs.
type dashboard struct {
	Templating struct {
		List []struct {
			Name, Type string
			Query      json.RawMessage
		}
	}
	Panels []struct {
		ID                 int
		Title, Description string
		GridPos            struct{ X, Y, W, H int }
		Targets            []struct{ Expr, LegendFormat string }
	}
}

// scrapeLabels are the labels that Prometheus adds to all metrics of a target.
var scrapeLabels = []string{"job", "instance"}

// seriesOf returns the labels of each metric of an executor, and the values of
// each label. The keys are the names of the metrics and of the labels.
func seriesOf(t *testing.T) map[string]map[string][]string {
	ex := goroutines.New(1, nil)
	defer ex.Close()
	families, err := register(t, "x", ex).Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]map[string][]string{}
	for _, f := range families {
		labels := map[string][]string{}
		for _, m := range f.Metric {
			for _, l := range m.Label {
				labels[l.GetName()] = append(labels[l.GetName()], l.GetValue())
			}
		}
		for _, l := range scrapeLabels {
			labels[l] = nil
		}
		if f.Metric[0].Histogram == nil {
			all[f.GetName()] = labels
			continue
		}
		bucket := maps.Clone(labels)
		bucket["le"] = nil
		all[f.GetName()+"_bucket"], all[f.GetName()+"_sum"], all[f.GetName()+"_count"] = bucket, labels, labels
	}
	return all
}

var (
	selector = regexp.MustCompile(`(concert_\w+)(?:\{([^{}]*)\})?`)
	matcher  = regexp.MustCompile(`^(\w+)(=~|!=|=|!~)"([^"]*)"$`)
	grouping = regexp.MustCompile(`\bby \(([^)]*)\)`)
	legend   = regexp.MustCompile(`\{\{(\w+)\}\}`)
)

// TestDashboard: each expression of the dashboard must use only metrics,
// labels and values of labels that exist. The dashboard must use all metrics.
func TestDashboard(t *testing.T) {
	text, err := os.ReadFile("grafana-dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	series := seriesOf(t)
	used := map[string]bool{}
	// check returns the labels that the metrics of an expression have.
	check := func(where, expr string) (labels []string) {
		found := selector.FindAllStringSubmatch(expr, -1)
		if len(found) == 0 {
			t.Errorf("%s: %s has no metric", where, expr)
		}
		for _, s := range found {
			values, ok := series[s[1]]
			if !ok {
				t.Errorf("%s: the metric %s does not exist", where, s[1])
			}
			used[s[1]] = true
			for l := range values {
				labels = append(labels, l)
			}
			for m := range strings.SplitSeq(s[2], ",") {
				if m == "" {
					continue
				}
				parts := matcher.FindStringSubmatch(m)
				if parts == nil {
					t.Errorf("%s: %s is not a matcher", where, m)
					continue
				}
				existing, ok := values[parts[1]]
				if !ok {
					t.Errorf("%s: %s has no label %s", where, s[1], parts[1])
				}
				if variable := strings.TrimPrefix(parts[3], "$"); variable != parts[3] {
					if variable != parts[1] {
						t.Errorf("%s: the label %s is compared with the variable %s", where, parts[1], variable)
					}
				} else if !slices.Contains(existing, parts[3]) {
					t.Errorf("%s: the label %s of %s never is %q", where, parts[1], s[1], parts[3])
				}
			}
		}
		return labels
	}
	ids := map[int]bool{}
	for i, p := range d.Panels {
		if ids[p.ID] || p.Title == "" || p.Description == "" || len(p.Targets) == 0 {
			t.Errorf("panel %q lacks a title, a description, a target, or an ID of its own", p.Title)
		}
		ids[p.ID] = true
		for _, other := range d.Panels[:i] {
			a, b := p.GridPos, other.GridPos
			if a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H || a.X+a.W > 24 {
				t.Errorf("the panels %q and %q overlap", p.Title, other.Title)
			}
		}
		for _, target := range p.Targets {
			labels := check(p.Title, target.Expr)
			grouped := []string{}
			for _, by := range grouping.FindAllStringSubmatch(target.Expr, -1) {
				for l := range strings.SplitSeq(by[1], ", ") {
					grouped = append(grouped, l)
					if !slices.Contains(labels, l) {
						t.Errorf("%s: the label %s does not exist", p.Title, l)
					}
				}
			}
			for _, l := range legend.FindAllStringSubmatch(target.LegendFormat, -1) {
				if !slices.Contains(grouped, l[1]) {
					t.Errorf("%s: the legend has the label %s, which the expression removes", p.Title, l[1])
				}
			}
		}
	}
	var variables []string
	for _, v := range d.Templating.List {
		variables = append(variables, v.Name)
		if v.Type == "query" {
			var q struct{ Query string }
			if err := json.Unmarshal(v.Query, &q); err != nil {
				t.Fatal(err)
			}
			check("variable "+v.Name, q.Query)
		}
	}
	if want := []string{"datasource", "job", "instance", "executor"}; !slices.Equal(variables, want) {
		t.Errorf("the variables are %q, want %q", variables, want)
	}
	for name := range series {
		if !used[name] && !strings.Contains(name, "queue_duration_seconds_") {
			t.Errorf("no panel shows %s", name)
		}
	}
}
