package choose

import (
	"fmt"
	"strings"

	"concert/choose/usage"
	"concert/internal/units"
)

// sentence returns both answers as text: the kind of the work, and the
// recommendation.
func (t *trial) sentence(chosen *point, ties, serious []string) string {
	certainty := t.report.Verdict.Certainty
	var b strings.Builder
	if t.report.Kind.Kind != UnknownKind {
		b.WriteString(t.report.Kind.Sentence + " ")
	}
	verb := "Use"
	if certainty == Unclear {
		fmt.Fprintf(&b, "Not sure yet: %s. ", strings.Join(serious, ", and "))
		verb = "Best guess:"
	} else if kind := t.report.Kind.Kind; chosen == t.base && (kind == IOBound || kind == Mixed) && !t.alwaysOne() {
		verb = "But use" // because the sentence about the kind recommends concurrent tasks
	}
	base, best := t.name(t.base), t.best(t.finalists())
	switch {
	case len(chosen.samples) == 0:
		name := t.name(chosen)
		if certainty == Unclear { // otherwise the end of the sentence says it
			name += ", which was not measured"
		}
		fmt.Fprintf(&b, "%s %s.", verb, name)
	case chosen == t.base && t.alwaysOne():
		fmt.Fprintf(&b, "%s %s: the maximum concurrency is 1.", verb, base)
	case chosen == t.base && certainty == Unclear:
		fmt.Fprintf(&b, "Best guess: %s", base)
		if len(t.points) > 1 && t.gain(best).Median < minCPUGain {
			b.WriteString(", because no measured concurrency gains much")
		}
		b.WriteString(".")
	case chosen == t.base && certainty == Likely && t.gain(best).Median >= minCPUGain:
		fmt.Fprintf(&b, "Use %s: such work gains little from concurrent tasks. The best measured gain was %s (%s).", base, units.Times(t.gain(best).Median), t.name(best))
	case chosen == t.base && best == chosen:
		fmt.Fprintf(&b, "%s %s: no other model or concurrency gains anything.", verb, base)
	case chosen == t.base && certainty == Tie:
		fmt.Fprintf(&b, "No clear winner; use the simpler model: %s. The best gain was %s (%s).", base, units.Times(t.gain(best).Median), t.name(best))
	case chosen == t.base:
		fmt.Fprintf(&b, "%s %s: no other model or concurrency gains more than %s.", verb, base, units.Times(t.gain(best).Median))
	case certainty == Likely && t.gain(chosen).Median < minCPUGain:
		why := "such work usually gains from concurrent tasks"
		if t.report.Kind.Kind == CPUBound {
			n := t.report.Machine.Processors
			why = fmt.Sprintf("on %s, such work can gain up to %dx", count(n, "processor"), t.report.Kind.tasksFor(n))
		}
		fmt.Fprintf(&b, "Use %s: %s.", t.report.Recommended(), why)
		if gain := t.gain(best); gain.Median < minCPUGain {
			fmt.Fprintf(&b, " The measurements do not show it: %s over %s.", gainText(t.gain(chosen)), base)
		} else {
			fmt.Fprintf(&b, " The measurements show it only for %s: %s over %s.", t.name(best), gainText(gain), base)
		}
	default:
		fmt.Fprintf(&b, "%s %s: %s over %s%s.", verb, t.report.Recommended(), gainText(t.gain(chosen)), base, t.otherLevels(chosen))
		if certainty == Tie {
			fmt.Fprintf(&b, " No clear winner: %s %s as good; this is the simplest model.", joinAnd(ties), plural(len(ties), "is", "are"))
		}
	}
	if certainty == Likely && !t.alwaysOne() && !strings.Contains(b.String(), serious[0]) {
		fmt.Fprintf(&b, " The best concurrency may differ: %s.", serious[0])
	}
	return b.String()
}

// Recommended returns the model and the concurrency of the verdict as text:
// "goroutines with concurrency 8", or "goroutines with concurrency 64 or more"
// if the throughput was still rising.
func (r *Report) Recommended() string {
	return pointName(r.Verdict.Model, r.Verdict.Concurrency) + r.orMore()
}

// orMore returns the text after the recommended concurrency: " or more" if the
// throughput was still rising, and empty otherwise. CPU-bound work has at most
// one running task for each processor, so it gains nothing from more tasks.
func (r *Report) orMore() string {
	if r.Verdict.Rising && r.Kind.Kind != CPUBound && r.Verdict.Concurrency > 1 {
		return " or more"
	}
	return ""
}

// otherLevels returns the part of the sentence about other levels of the same
// model: which ones are as good, and whether a higher one may be better.
func (t *trial) otherLevels(chosen *point) string {
	highest, best := chosen.level, chosen
	for _, p := range t.points {
		if p.model == chosen.model && p.level > chosen.level {
			highest = p.level
			if !t.failsMore(p) && t.gain(p).Median > t.gain(best).Median {
				best = p
			}
		}
	}
	if t.gain(best).Median > minGain*t.gain(chosen).Median {
		return fmt.Sprintf("; concurrency %d reaches %s", best.level, gainText(t.gain(best)))
	}
	equal, text := t.report.Verdict.EqualUpTo, ""
	if equal > chosen.level {
		text = fmt.Sprintf("; %d to %d are equally good", chosen.level, equal)
	}
	levels := t.models[chosen.model].levels(t.MaxConcurrency)
	atTop := len(levels) > 1 && chosen.level == levels[len(levels)-1]
	switch {
	case highest > equal:
		return text + fmt.Sprintf("; higher concurrency, up to %d, gains nothing measurable", highest)
	case equal > chosen.level:
		return text
	case atTop:
		return fmt.Sprintf("; no peak up to %d, the highest concurrency that was tried", chosen.level)
	case t.report.Verdict.Rising && t.report.Kind.Kind != CPUBound:
		return "; " + risingCaveat
	case len(levels) > 1:
		return "; higher concurrency was not tried"
	}
	return ""
}

// reasons returns sentences that explain the verdict: the profile, what limits
// the throughput, and the best points of the other models.
func (t *trial) reasons(chosen *point, final []*point) (all []string) {
	p := &t.report.Profile
	alone := fmt.Sprintf("Alone, a run takes %s", durationText(p.Wall))
	if p.Knows(usage.CPUTime) {
		alone += fmt.Sprintf(": %s of CPU time, %s of wait", durationText(p.CPU), durationText(p.Wait()))
		if p.Knows(usage.RunDelay) && p.RunDelay > p.Wall/100 {
			alone += fmt.Sprintf(", and %s ready to run without a processor", durationText(p.RunDelay))
		}
	}
	all = append(all, alone+".")
	if len(chosen.samples) > 0 && p.Knows(usage.CPUTime) && p.CPU > 0 && p.CPUShare() > ioBound { // the processors do not limit I/O-bound work
		all = append(all, t.limit(chosen)+".")
	}
	for i := range t.models {
		var best *point
		for _, q := range final {
			if q.model == i && i != chosen.model && q != t.base && (best == nil || t.gain(q).Median > t.gain(best).Median) {
				best = q
			}
		}
		if best != nil {
			all = append(all, fmt.Sprintf("%s: %s.", capitalize(t.name(best)), gainText(t.gain(best))))
		}
	}
	return all
}

// limit compares the throughput of a point to the CPU time of a run, and says
// whether the processors limit the throughput.
func (t *trial) limit(p *point) string {
	cpu, processors := t.report.Profile.CPU, t.report.Machine.Processors
	possible := float64(processors) / cpu.Seconds()
	reached := p.rate().Median
	text := fmt.Sprintf("With %s of CPU time each, %s can run at most %s tasks per second; %s were measured",
		durationText(cpu), count(processors, "processor"), units.Number(possible), units.Number(reached))
	switch {
	case reached > 1.2*possible:
		text += ": under load a task takes less CPU time than alone"
	case reached > 0.8*possible:
		text += ": the processors are the limit"
	case p.busy >= allBusy:
		text += ", with all processors busy: under load a task takes more CPU time than alone, or other programs used the processors"
	case p.busy >= 0 && reached < 0.5*possible:
		text += fmt.Sprintf(", with %s of the processor time used: the limit is not the processors", percent(p.busy))
	}
	return text
}
