package choose

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"concert/choose/internal/stats"
	"concert/choose/usage"
	"concert/internal/units"
)

// What is worth saying.
const (
	noisy    = 0.1  // of the processors, used by others, is worth saying
	drifting = 0.25 // likewise, of throughput
)

// reasons explain the answer by what was measured.
func (t *trial) reasons(chosen *point, final []*point) (all []string) {
	p := &t.report.Profile
	alone := fmt.Sprintf("Alone, a run takes %s", length(p.Wall))
	if p.Knows(usage.CPUTime) {
		alone += fmt.Sprintf(": %s of CPU, %s of wait", length(p.CPU), length(p.Wait()))
		if p.Knows(usage.RunDelay) && p.RunDelay > p.Wall/100 {
			alone += fmt.Sprintf(", and %s ready to run while another had the processor", length(p.RunDelay))
		}
	}
	all = append(all, alone+".")
	if n := float64(t.report.Machine.Processors); p.Knows(usage.CPUTime) && p.CPU > 0 {
		room := n / p.CPU.Seconds()
		got := chosen.rate().Median
		line := fmt.Sprintf("With %s each, %s %s room for %s a second; %s were done", length(p.CPU), count(int(n), "processor"), plural(int(n), "has", "have"), units.Number(room), units.Number(got))
		switch {
		case got > 1.2*room:
			line += ": under load a task takes less CPU time than alone"
		case got > 0.8*room:
			line += ": the processors are the limit"
		case chosen.busy >= fullCPU:
			line += ", with all processors busy: under load a task takes more CPU time than alone, or others took it"
		case chosen.busy >= 0 && got < 0.5*room:
			line += fmt.Sprintf(", with %s of the processors busy: the limit is elsewhere", percent(chosen.busy))
		}
		all = append(all, line+".")
	}
	for i := range t.models {
		var best *point
		for _, q := range final {
			if q.model == i && i != chosen.model && q != t.base && (best == nil || t.gain(q).Median > t.gain(best).Median) {
				best = q
			}
		}
		if best != nil {
			all = append(all, fmt.Sprintf("%s: %s.", capital(pointName(t.models[i].Name, best.level)), spelled(t.gain(best))))
		}
	}
	return all
}

// caveats are what to bear in mind.
func (t *trial) caveats(chosen *point) (all []string) {
	r := &t.report
	if gain := t.gain(chosen); gain.Confidence == 0 {
		all = append(all, fmt.Sprintf("Each point was measured once, so there are no intervals. A budget above %s measures more often.", length(t.Budget)))
	} else if gain.Confidence < stats.Confidence {
		all = append(all, fmt.Sprintf("With %s, the confidence of the intervals is %s; a larger budget raises it to 95%%.", count(r.Rounds, "round"), percent(gain.Confidence)))
	}
	if t.inputs < t.given {
		all = append(all, fmt.Sprintf("Of %d inputs, %d were used.", t.given, t.inputs))
	}
	if len(r.Untried) > 0 {
		all = append(all, fmt.Sprintf("Not tried, because the time or the runs were used up: %s.", list(r.Untried)))
	}
	for _, b := range t.broken {
		all = append(all, "Not tried: "+b+".")
	}
	for _, p := range t.points {
		if t.failsMore(p) {
			all = append(all, fmt.Sprintf("%s: %d of %d failed, so it was left out. The first: %s", capital(pointName(t.models[p.model].Name, p.level)), p.failed, p.tasks, said(p.err)))
			break
		}
	}
	if chosen.failed > 0 {
		all = append(all, fmt.Sprintf("%d of %d runs failed. The first: %s", chosen.failed, chosen.tasks, said(chosen.err)))
	}
	if m := &r.Machine; m.Others+m.Stolen > noisy && m.Others+m.Stolen <= busyNeighbors {
		all = append(all, capital(m.disturbance())+".")
	}
	if r.Remeasured > 0 {
		all = append(all, fmt.Sprintf("This is a virtual machine, whose host took a tenth of its processors or more at times: %s measured again.", count(r.Remeasured, "slice")+plural(r.Remeasured, " was", " were")))
	}
	if math.Abs(r.Drift) > drifting {
		what := "higher"
		if r.Drift < 0 {
			what = "lower"
		}
		all = append(all, fmt.Sprintf("At the end, the throughput of %s was %s %s than at the beginning. This does not matter, because comparisons are within rounds.", pointName(t.models[t.base.model].Name, t.base.level), percent(math.Abs(r.Drift)), what))
	}
	for _, s := range r.Profile.Sources {
		if s.From == "" {
			all = append(all, fmt.Sprintf("No %s: %s.", s.What, s.Why))
		}
	}
	if r.Profile.Failed > 0 {
		all = append(all, fmt.Sprintf("%d of %d runs alone failed. The first: %s", r.Profile.Failed, r.Profile.Runs, r.Profile.FirstErr))
	}
	return all
}

func (t *trial) sentence(chosen *point, equals, doubts []string) string {
	var b strings.Builder
	if u := &t.report.Profile.Usage; u.Knows(usage.CPUTime) {
		b.WriteString(kind(u) + ". ")
	}
	if len(doubts) > 0 {
		fmt.Fprintf(&b, "Cannot tell: %s. ", strings.Join(doubts, ", and "))
	}
	m := &t.models[chosen.model]
	base := pointName(t.models[t.base.model].Name, t.base.level)
	best := t.best(t.finalists())
	switch {
	case chosen == t.base && len(doubts) > 0:
		fmt.Fprintf(&b, "The best guess: %s.", base)
	case chosen == t.base && best == chosen:
		fmt.Fprintf(&b, "Use %s: nothing that was tried gains anything.", base)
	case chosen == t.base && len(equals) > 0:
		fmt.Fprintf(&b, "No clear winner; use the simpler model: %s. The best gain was %s, of %s.", base, units.Times(t.gain(best).Median), pointName(t.models[best.model].Name, best.level))
	case chosen == t.base:
		fmt.Fprintf(&b, "Use %s: nothing that was tried gains more than %s.", base, units.Times(t.gain(best).Median))
	default:
		verb := "Use"
		if len(doubts) > 0 {
			verb = "The best guess:"
		}
		fmt.Fprintf(&b, "%s %s: %s over %s%s.", verb, pointName(m.Name, chosen.level), spelled(t.gain(chosen)), base, t.beyond(chosen))
		if len(equals) > 0 && len(doubts) == 0 {
			fmt.Fprintf(&b, " No clear winner: %s did as well, and this is the simplest.", list(equals))
		}
	}
	return b.String()
}

// beyond says what was seen at higher levels of the same model.
func (t *trial) beyond(chosen *point) string {
	highest := chosen.level
	for _, p := range t.points {
		if p.model == chosen.model {
			highest = max(highest, p.level)
		}
	}
	levels := t.models[chosen.model].levels(t.MaxConcurrency)
	switch {
	case highest > chosen.level:
		return fmt.Sprintf("; more, up to %d, gains nothing measurable", highest)
	case len(levels) > 1 && chosen.level == levels[len(levels)-1]:
		return fmt.Sprintf("; no peak was seen up to %d, the most that was tried", chosen.level)
	case len(levels) > 1:
		return "; more was not tried"
	}
	return ""
}

// kind says what the work mostly does.
func kind(u *usage.Usage) string {
	share := u.CPUShare()
	name := "Mixed"
	switch {
	case share >= cpuBound:
		name = "CPU-bound"
	case share <= ioBound:
		name = "I/O-bound"
	}
	return fmt.Sprintf("%s: %s CPU", name, percent(share))
}

// Bounds beyond which an answer is only a guess.
const (
	wide          = 2.0 // an interval whose ends are so many times apart says little
	rivalry       = 1.3 // what another point may be better by, if that is not known any better, is a doubt
	chancy        = 0.6 // what a rate may be off by, as tasks take different times, that makes it worthless
	upended       = 1.0 // is more than drifting
	busyNeighbors = 0.3 // of the processors, used by others or stolen, is too much to say anything for sure
)

// doubts are the reasons why the answer is no more than a guess.
func (t *trial) doubts(chosen *point, final []*point, interrupted bool) (all []string) {
	if interrupted {
		all = append(all, fmt.Sprintf("it was interrupted after %s", length(t.since())))
	}
	if len(t.points) == 1 && len(t.models) > 1 {
		return append(all, fmt.Sprintf("there was time for %s only", t.models[t.base.model].Name))
	}
	if t.base.rate().Median == 0 || chosen.failed*2 > chosen.tasks {
		return append(all, fmt.Sprintf("%d of %d runs failed", chosen.failed, chosen.tasks))
	}
	if t.gain(chosen).Confidence == 0 {
		all = append(all, "each level was measured only once (a larger budget measures more often)")
	}
	if was, is := t.base.samples[0].rate, t.base.rate().Median; math.Abs(t.report.Drift) > upended || max(was, is) > (1+upended/2)*min(was, is) {
		all = append(all, "the speed of the work changed too much during the measurement")
	}
	if c := 2 * t.spread / math.Sqrt(float64(t.base.tasks)); c > chancy {
		all = append(all, fmt.Sprintf("tasks take very different times, and %s was tried with %d of them", pointName(t.models[t.base.model].Name, t.base.level), t.base.tasks))
	}
	// What was given up after a few tasks of very different lengths.
	for _, p := range t.points {
		if c := t.chance(p); c > chancy/2 && !slices.Contains(final, p) && p.explored()*(1+c) > rivalry*chosen.rate().Median {
			all = append(all, fmt.Sprintf("tasks take very different times, and %s was tried with %d of them", pointName(t.models[p.model].Name, p.level), p.last))
			break
		}
	}
	if m := &t.report.Machine; m.Others+m.Stolen > busyNeighbors {
		all = append(all, m.disturbance())
	}
	gain := t.gain(chosen)
	if gain.High > wide*gain.Low {
		all = append(all, fmt.Sprintf("repeats disagree: its gain was from %s to %s", units.Times(gain.Low), units.Times(gain.High)))
	}
	for _, p := range final {
		r := intervalOf(ratios(p, chosen))
		if p != chosen && r.Confidence > 0 && r.High > rivalry && r.High > known*r.Low {
			all = append(all, fmt.Sprintf("%s reached from %s to %s of its throughput", pointName(t.models[p.model].Name, p.level), units.Times(r.Low), units.Times(r.High)))
			break
		}
	}
	if chosen != t.base && gain.Confidence > 0 && gain.Low < 1 {
		all = append(all, "there may be no gain")
	}
	return all
}
