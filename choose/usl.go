package choose

import "math"

// Fit is the Universal Scalability Law, fitted to the throughput of a model at
// its levels:
//
//	X(n) = Alone n / (1 + Contention (n-1) + Coherency n (n-1))
//
// Contention is the share of the work that only one can do at a time, Coherency
// what each has to agree on with every other.
type Fit struct {
	Alone      float64 `json:"alone"` // throughput at level 1, tasks a second
	Contention float64 `json:"contention"`
	Coherency  float64 `json:"coherency"`
	// Peak is the level at which the law has its maximum, if that is among
	// those measured; else it is 0: no peak was seen.
	Peak float64 `json:"peak,omitempty"`
	// Error is by how much the law misses what was measured, at most, as a
	// share.
	Error float64 `json:"error"`
}

// At returns the throughput that the law has at a level.
func (f *Fit) At(n float64) float64 {
	return f.Alone * n / (1 + f.Contention*(n-1) + f.Coherency*n*(n-1))
}

// fewestLevels is what a fit of three numbers takes, to say anything.
const fewestLevels = 6

// fitUSL fits the law to levels and throughputs, or returns nil if these are
// too few, or do not follow it.
//
// Multiplied out, n/X is linear in 1/Alone, Contention/Alone and
// Coherency/Alone. These are found by least squares of relative errors, none of
// them below zero: the best of the four ways to hold some of them at zero.
func fitUSL(levels []int, rates []float64) *Fit {
	if len(levels) < fewestLevels {
		return nil
	}
	var best *Fit
	least := math.Inf(1)
	for zero := range 4 { // 1/Alone cannot be 0
		use := []bool{true, zero&1 == 0, zero&2 == 0}
		c, ok := leastSquares(levels, rates, use)
		if !ok || c[0] <= 0 || c[1] < 0 || c[2] < 0 {
			continue
		}
		f := &Fit{Alone: 1 / c[0], Contention: c[1] / c[0], Coherency: c[2] / c[0]}
		sum := 0.0
		for i, n := range levels {
			e := rates[i]/f.At(float64(n)) - 1
			sum += e * e
			f.Error = max(f.Error, math.Abs(e))
		}
		if sum < least {
			least, best = sum, f
		}
	}
	if best == nil || best.Error > 0.25 {
		return nil
	}
	if best.Coherency > 0 && best.Contention < 1 {
		if peak := math.Sqrt((1 - best.Contention) / best.Coherency); peak <= float64(levels[len(levels)-1]) {
			best.Peak = peak
		}
	}
	return best
}

// leastSquares solves for c the equations (c0 + c1 (n-1) + c2 n (n-1)) X/n = 1,
// with those c that are not used 0.
func leastSquares(levels []int, rates []float64, use []bool) (c [3]float64, ok bool) {
	var m [3][4]float64 // normal equations
	for i, level := range levels {
		n := float64(level)
		w := rates[i] / n
		row := [3]float64{w, w * (n - 1), w * n * (n - 1)}
		for a := range 3 {
			for b := range 3 {
				m[a][b] += row[a] * row[b]
			}
			m[a][3] += row[a]
		}
	}
	for a := range 3 {
		if !use[a] {
			m[a] = [4]float64{}
			for b := range 3 {
				m[b][a] = 0
			}
			m[a][a] = 1
		}
	}
	for a := range 3 { // Gauss and Jordan; the matrix is positive definite, so no pivoting
		p := m[a][a]
		if !(math.Abs(p) > 1e-30) {
			return c, false
		}
		for b := range 4 {
			m[a][b] /= p
		}
		for r := range 3 {
			if r != a {
				f := m[r][a]
				for b := range 4 {
					m[r][b] -= f * m[a][b]
				}
			}
		}
	}
	return [3]float64{m[0][3], m[1][3], m[2][3]}, true
}
