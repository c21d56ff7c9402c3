package executortest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"concert"
)

var mappedNumbers = concert.Register("executortest.mappedNumbers", func(_ context.Context, n int) (*concert.Mapped[float64], error) {
	return concert.NewMapped(numbers(n)), nil
})

var mappedCases = []testCase{
	{"MappedResult", "a result with a handle of NewMapped has its value until Close", func(s *suite) {
		ex := s.executor(Config{})
		// Small results and large ones may be sent in different ways.
		for _, n := range []int{0, 5, 1000, 10_000, 100_000} {
			h := must[*concert.Mapped[float64]](s)(concert.Submit(s.ctx, ex, mappedNumbers, n).Result(s.ctx))
			if got := h.Value(); !slices.Equal(got, numbers(n)) {
				s.Errorf("a result of %d numbers has %d numbers, which begin with %v", n, len(got), got[:min(len(got), 3)])
			}
			for range 2 {
				must[any](s)(nil, h.Close())
			}
			func() {
				defer func() {
					if text := fmt.Sprint(recover()); !strings.Contains(text, "after Close") {
						s.Errorf("Value of a closed handle panics with %q", text)
					}
				}()
				h.Value()
			}()
		}
	}},

	{"MappedMany", "the handles of a Map have the values of their inputs", func(s *suite) {
		ex := s.executor(Config{Workers: 3})
		var inputs []int
		for i := range s.many(30) {
			inputs = append(inputs, i%3*20_000+i)
		}
		i := 0
		for h, err := range concert.Map(s.ctx, ex, mappedNumbers, slices.Values(inputs)) {
			if got := must[*concert.Mapped[float64]](s)(h, err).Value(); !slices.Equal(got, numbers(inputs[i])) {
				s.Errorf("result %d has %d numbers, want %d", i, len(got), inputs[i])
			}
			h.Close()
			i++
		}
		if i != len(inputs) {
			s.Errorf("the Map has %d results, want %d", i, len(inputs))
		}
	}},
}
