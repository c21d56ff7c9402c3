package tour

import (
	"fmt"
	"strings"

	"concert/choose"
)

// comparison has the two reports for functions in one language.
type comparison struct {
	language        string
	computes, waits *choose.Report
}

// conclusions returns sentences for the end of the tour: what to use on this
// machine, which models were not measured, and how reliable the measurements
// are.
func (t *tour) conclusions() (all []string) {
	for _, c := range t.comparisons {
		all = append(all,
			conclusion("CPU-bound work in "+c.language, c.computes, "one task for each processor"),
			conclusion("I/O-bound work in "+c.language, c.waits, "many tasks"))
	}
	if missing := t.notMeasured(); len(missing) > 0 {
		all = append(all, fmt.Sprintf("Not measured, because the time was over: %s.", strings.Join(missing, "; ")))
	}
	const reportOthers = 0.3 // the share of the processor time
	others := 0.0
	for _, c := range t.comparisons {
		others = max(others, c.computes.Machine.Others, c.waits.Machine.Others)
	}
	if others > reportOthers {
		all = append(all, fmt.Sprintf("Other programs used up to %.0f%% of the processor time. On an idle machine, CPU-bound work gains more.", 100*others))
	}
	return all
}

// conclusion returns the recommendation for one kind of work. The parameter
// usual is the recommendation for this kind if the measurements do not
// decide.
func conclusion(work string, r *choose.Report, usual string) string {
	v := r.Verdict
	point := r.Recommended()
	switch {
	case v.Certainty == choose.Unclear:
		return fmt.Sprintf("For %s, the measurements do not decide this time. The usual choice is %s.", work, usual)
	case v.Gain.Median == 0:
		return fmt.Sprintf("For %s, use %s. It was not measured.", work, point)
	case v.Concurrency == 1:
		return fmt.Sprintf("For %s, use %s: nothing else gains.", work, point)
	}
	text := fmt.Sprintf("For %s, use %s: %s.", work, point, gain(v.Gain.Median))
	if model, best := bestOther(r); v.Certainty == choose.Likely && best > seemsBetter*gain(v.Gain.Median) {
		text += fmt.Sprintf(" In a few measurements, %s seemed better: %s.", model, best)
	}
	return text
}

// seemsBetter is a factor. If another model gains more than seemsBetter times
// as much as the recommended one, the conclusion mentions it. Otherwise a
// reader of the closing table would ask why it is not recommended.
const seemsBetter = 1.1

// bestOther returns the model with the largest gain in the closing table, apart
// from the recommended one.
func bestOther(r *choose.Report) (model string, best gain) {
	for _, p := range r.Points {
		if g := bestOf(r, p.Model); p.Model != r.Verdict.Model && g > best {
			model, best = p.Model, g
		}
	}
	return model, best
}

// notMeasured returns the names of the models that were not measured, with the
// kind of the work.
func (t *tour) notMeasured() (names []string) {
	for _, r := range t.models {
		switch {
		case r.Computes == 0 && r.Waits == 0:
			names = append(names, r.Name)
		case r.Computes == 0:
			names = append(names, r.Name+" for CPU-bound work")
		case r.Waits == 0:
			names = append(names, r.Name+" for I/O-bound work")
		}
	}
	return names
}
