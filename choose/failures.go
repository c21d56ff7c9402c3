package choose

import "math"

// maxExtraFailures is the maximum difference, in addition to chance, between
// the share of failed tasks of a point and the share of failed tasks of the
// base.
const maxExtraFailures = 0.02

// failsMore reports whether the tasks of a point clearly fail more often than
// the tasks of the base: by more than maxExtraFailures plus three standard
// deviations of the difference.
func (t *trial) failsMore(p *point) bool {
	if p == t.base || p.failed == 0 {
		return false
	}
	n, m := float64(max(1, p.tasks)), float64(max(1, t.base.tasks))
	both := float64(p.failed+t.base.failed) / (n + m)
	rateError := 3 * math.Sqrt(both*(1-both)*(1/n+1/m))
	return p.failureShare()-t.base.failureShare() > maxExtraFailures+rateError
}

func (p *point) failureShare() float64 { return float64(p.failed) / float64(max(1, p.tasks)) }
