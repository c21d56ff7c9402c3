package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"time"

	"concert"
	"concert/adaptive"
	"concert/goroutines"
)

// slow is a server whose handler takes 20 ms.
type slow struct {
	about string
	serve func(w http.ResponseWriter)
}

// delay is the duration of a request.
const delay = 20 * time.Millisecond

// limited returns a server that handles n requests concurrently. Further
// requests wait.
func limited(n int) slow {
	slots := make(chan struct{}, n)
	return slow{fmt.Sprintf("handles %d requests concurrently", n), func(w http.ResponseWriter) {
		slots <- struct{}{}
		defer func() { <-slots }()
		time.Sleep(delay)
		fmt.Fprintln(w, "done")
	}}
}

// refusing returns a server that refuses more than n concurrent requests.
func refusing(n int) slow {
	slots := make(chan struct{}, n)
	return slow{fmt.Sprintf("refuses more than %d requests", n), func(w http.ResponseWriter) {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
			time.Sleep(delay)
			fmt.Fprintln(w, "done")
		default:
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}}
}

// compareAdaptive prints a table that compares the adaptive limit to the best
// fixed limit, on servers that take 20 ms for a request. A pool with an
// adaptive limit first runs for a time that does not count. Then the adaptive
// limit and the best fixed limits are measured in rounds, in random order. For
// each round, the rate of the adaptive limit is divided by the highest rate of
// a fixed limit. The last column is the median of these quotients.
func compareAdaptive(ctx context.Context, highest int, length time.Duration, other neighbor) error {
	fmt.Println("| server | best fixed limit | adaptive | limits in the rounds | of the best |")
	fmt.Println("|---|---|---|---|---|")
	for _, s := range []slow{limited(3), limited(6), limited(20), limited(1000), refusing(12)} {
		if err := compareOn(ctx, s, highest, length, other); err != nil {
			return fmt.Errorf("a server that %s: %w", s.about, err)
		}
	}
	return nil
}

// compareOn measures the limits on one server, and prints its row of the table.
func compareOn(ctx context.Context, s slow, highest int, length time.Duration, other neighbor) error {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { s.serve(w) }))
	defer server.Close()
	if other.load > 0 {
		stop, err := other.start()
		if err != nil {
			return err
		}
		defer stop()
	}
	const rounds, best, settle = 9, 3, 12 // settle is a multiple of length
	limit := adaptive.New(&adaptive.Options{Max: highest})
	tuned := goroutines.New(0, &goroutines.Options{Limit: limit})
	defer tuned.Close()
	requests(ctx, tuned, server.URL, settle*length)
	// Measure each fixed limit once, and keep the best limits.
	type fixed struct {
		level int
		rates []float64
	}
	var all []fixed
	for _, n := range many {
		if n <= highest {
			ex := goroutines.New(n, nil)
			all = append(all, fixed{n, []float64{requests(ctx, ex, server.URL, length)}})
			ex.Close()
		}
	}
	slices.SortFunc(all, func(a, b fixed) int { return cmp.Compare(b.rates[0], a.rates[0]) })
	all = all[:min(best, len(all))]
	var shares, rates []float64
	var limits []int
	for range rounds {
		order := rand.Perm(len(all) + 1)
		highestRate, rate := 0.0, 0.0
		for _, i := range order {
			if i == len(all) {
				rate = requests(ctx, tuned, server.URL, length)
				continue
			}
			ex := goroutines.New(all[i].level, nil)
			got := requests(ctx, ex, server.URL, length)
			ex.Close()
			all[i].rates = append(all[i].rates, got)
			highestRate = max(highestRate, got)
		}
		shares, rates, limits = append(shares, rate/highestRate), append(rates, rate), append(limits, limit.Current())
	}
	for i := range all {
		slices.Sort(all[i].rates)
	}
	top := slices.MaxFunc(all, func(a, b fixed) int { return cmp.Compare(a.rates[len(a.rates)/2], b.rates[len(b.rates)/2]) })
	slices.Sort(shares)
	slices.Sort(rates)
	fmt.Printf("| %s | %d: %.0f/s | %.0f/s | %d to %d | %.2f |\n", s.about, top.level, top.rates[len(top.rates)/2], rates[len(rates)/2], slices.Min(limits), slices.Max(limits), shares[len(shares)/2])
	return nil
}

var errRefused = errors.New("the server refused the request")

// requests sends requests for a time, and returns the number of successful
// requests per second.
func requests(ctx context.Context, ex concert.Executor, url string, length time.Duration) float64 {
	begin, good := time.Now(), 0
	until := func(yield func(string) bool) {
		for time.Since(begin) < length && yield(url) {
		}
	}
	for _, err := range concert.MapUnordered(ctx, ex, ask, until) {
		if err == nil {
			good++
		}
	}
	return float64(good) / time.Since(begin).Seconds()
}

// ask sends a request.
func ask(ctx context.Context, url string) (struct{}, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return struct{}{}, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return struct{}{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return struct{}{}, errRefused
	}
	return struct{}{}, nil
}
