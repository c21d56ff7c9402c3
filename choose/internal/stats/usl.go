package stats

import "math"

// USL is Gunther's Universal Scalability Law, fitted to throughputs X at levels
// of concurrency n:
//
//	X(n) = Alone n / (1 + Contention (n-1) + Coherency n (n-1))
type USL struct {
	Alone      float64 // throughput at level 1
	Contention float64 // the share of the work that is sequential
	Coherency  float64 // the cost of an exchange between two tasks, as a share of the work
	// Peak is the level with the highest throughput, if it is not above the
	// highest measured level, and 0 otherwise.
	Peak float64
	// Error is the largest relative difference from a measured throughput.
	Error float64
}

// At returns the throughput of the law at a level.
func (f *USL) At(n float64) float64 {
	return f.Alone * n / (1 + f.Contention*(n-1) + f.Coherency*n*(n-1))
}

const (
	minLevels   = 6    // for a fit of three parameters
	maxFitError = 0.25 // of a fit that is returned
)

// FitUSL fits the law to the throughputs at some levels. The levels must rise.
// FitUSL returns nil if there are fewer than six, or if they do not follow the
// law.
//
// n/X is linear in 1/Alone, Contention/Alone and Coherency/Alone. FitUSL finds
// these by least squares of the relative errors. None of them may be negative.
// So it tries the four ways to set Contention and Coherency to zero or not, and
// returns the best of them.
func FitUSL(levels []int, rates []float64) *USL {
	if len(levels) < minLevels {
		return nil
	}
	var best *USL
	smallest := math.Inf(1)
	for zero := range 4 { // 1/Alone cannot be 0
		use := []bool{true, zero&1 == 0, zero&2 == 0}
		c, ok := leastSquares(levels, rates, use)
		if !ok || c[0] <= 0 || c[1] < 0 || c[2] < 0 {
			continue
		}
		f := &USL{Alone: 1 / c[0], Contention: c[1] / c[0], Coherency: c[2] / c[0]}
		sum := 0.0
		for i, n := range levels {
			e := rates[i]/f.At(float64(n)) - 1
			sum += e * e
			f.Error = max(f.Error, math.Abs(e))
		}
		if sum < smallest {
			smallest, best = sum, f
		}
	}
	if best == nil || best.Error > maxFitError {
		return nil
	}
	if best.Coherency > 0 && best.Contention < 1 {
		if peak := math.Sqrt((1 - best.Contention) / best.Coherency); peak <= float64(levels[len(levels)-1]) {
			best.Peak = peak
		}
	}
	return best
}

// leastSquares solves the equations (c0 + c1 (n-1) + c2 n (n-1)) X/n = 1 for c.
// The parameters that are not used are 0. ok is false if there is no solution.
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
	for a := range 3 { // Gauss-Jordan elimination; the matrix is positive definite, so it needs no pivoting
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
